import Pictures

/// The look of a report: the inks of drawings, on a light page or a dark one, narrow or wide, or on paper.
enum ReportStyle {
  static let sheet: String = {
    func variables(dark: Bool) -> String { ":root{\(Ink.variables("--", dark: dark))}" }
    return """
      \(variables(dark: false))
      @media screen and (prefers-color-scheme:dark){\(variables(dark: true))}
      *{box-sizing:border-box}
      html{font:16px/1.5 system-ui,"DejaVu Sans",Verdana,sans-serif;color:var(--text);background:var(--paper);-webkit-text-size-adjust:100%}
      body{max-width:76rem;margin:0 auto;padding:1rem clamp(1rem,4vw,2.5rem) 3rem}
      header{padding:1.2rem 0 .4rem}
      h1{font-size:clamp(1.6rem,1.1rem + 2.4vw,2.6rem);line-height:1.15;margin:0 0 .4rem;letter-spacing:-.02em;overflow-wrap:anywhere}
      h2{font-size:1.35rem;line-height:1.25;margin:0 0 .6rem;letter-spacing:-.01em}
      h3{font-size:1.02rem;margin:1.4rem 0 .4rem;overflow-wrap:anywhere}
      p{margin:.4rem 0 .8rem;max-width:46rem}
      a{color:var(--series0)}
      a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--series0);outline-offset:2px}
      .muted,footer{color:var(--muted);font-size:.9rem}
      nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;list-style:none;margin:.2rem 0 0;padding:.6rem 0;border-block:1px solid var(--grid)}
      nav a{text-decoration:none;padding:.25rem 0;display:inline-block}
      nav a:hover{text-decoration:underline}
      section{padding-top:2.2rem}
      .scroll{overflow-x:auto;margin:.4rem 0 1.2rem;border:1px solid var(--grid);border-radius:.6rem;background:var(--paper)}
      table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
      caption{text-align:left;padding:.6rem .8rem;color:var(--muted);font-size:.85rem}
      caption span{position:sticky;left:.8rem;display:inline-block;max-width:min(46rem,calc(100vw - 4rem))}
      th,td{text-align:right;padding:.42rem .8rem;border-top:1px solid var(--grid);vertical-align:top}
      td{white-space:nowrap}.wrap{display:inline-block;max-width:32rem;text-align:left;white-space:normal;overflow-wrap:anywhere}
      th[scope=row],thead th:first-child{text-align:left;font-weight:600;min-width:7rem}
      thead th{background:var(--ground);font-weight:600;overflow-wrap:anywhere;min-width:4.2rem}
      .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.8rem;margin:.8rem 0 1.2rem;padding:0}
      .tile{background:var(--ground);border:1px solid var(--grid);border-radius:.6rem;padding:.8rem 1rem}
      .tile dt{color:var(--muted);font-size:.85rem}
      .tile dd{margin:0;font-size:1.7rem;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums;line-height:1.25}
      .tile .note{display:block;font-size:.82rem;font-weight:400;color:var(--muted);letter-spacing:0;line-height:1.4}
      .plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1rem;margin:.6rem 0 1rem}
      .plots>div{background:var(--paper);border:1px solid var(--grid);border-radius:.6rem;padding:.3rem;min-width:0}
      .plots svg{display:block;width:100%;height:auto}
      .key{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;padding:0;margin:.3rem 0 .8rem;font-size:.92rem}
      .key li{display:flex;align-items:center;gap:.5rem;overflow-wrap:anywhere}
      .key svg{flex:none}
      .row{margin:0 0 1.4rem}
      .row ol,.row ul{display:flex;flex-wrap:wrap;gap:.7rem;list-style:none;padding:0;margin:.4rem 0 0}
      .row li{width:6rem}
      figure{margin:0}
      figure .frame{position:relative;border:1px solid var(--grid);border-radius:.35rem;overflow:hidden;background:var(--ground)}
      figure img{display:block;width:100%;height:auto}
      figure .none{display:block;padding:1.4rem .3rem;text-align:center;font-size:.75rem;color:var(--muted)}
      figcaption{font-size:.75rem;line-height:1.35;color:var(--muted);padding-top:.25rem;overflow-wrap:anywhere}
      figcaption b{color:var(--text);font-weight:600}
      .query .frame{border:3px solid var(--text)}
      .right .frame{border:3px solid var(--right)}
      .wrong .frame{border:3px dashed var(--wrong)}
      .mark{position:absolute;top:.2rem;right:.2rem;width:1.15rem;height:1.15rem;border-radius:50%;color:var(--paper);font-size:.78rem;line-height:1.15rem;text-align:center;font-weight:700}
      .right .mark{background:var(--right)}.wrong .mark{background:var(--wrong)}
      .pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1rem;list-style:none;padding:0;margin:.4rem 0 1.2rem}
      .pairs>li{display:grid;grid-template-columns:1fr 1fr;gap:.5rem;border:1px solid var(--grid);border-radius:.6rem;padding:.6rem}
      .pairs p{grid-column:1/-1;margin:0;font-size:.8rem;color:var(--muted)}
      .bar{display:block;height:.45rem;border-radius:.2rem;background:var(--series0);margin-top:.25rem;min-width:1px}
      details{border:1px solid var(--grid);border-radius:.6rem;margin:.6rem 0}
      summary{cursor:pointer;padding:.6rem .9rem;font-weight:600}
      details .scroll{border:0;border-top:1px solid var(--grid);border-radius:0;margin:0}
      pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.82rem;padding:.2rem .9rem .8rem;margin:0}
      footer{margin-top:3rem;border-top:1px solid var(--grid);padding-top:.8rem}
      @media (max-width:30rem){.row li{width:calc(25% - .53rem);min-width:4.6rem}th,td{padding:.4rem .55rem}}
      @media print{html{font-size:10.5pt}body{max-width:none;padding:0}nav{display:none}section{break-inside:auto;padding-top:1.2rem}h2,h3,.key,p.muted{break-after:avoid}
      .plots>div,.row,.pairs>li,.tile,tr{break-inside:avoid}.scroll{overflow:visible}th,td{padding:.25rem .35rem}td{white-space:normal}thead th{min-width:0}details{border:0}details::details-content{content-visibility:visible;block-size:auto;opacity:1}a{color:inherit;text-decoration:none}}
      """
  }()
}
