import Foundation
import Storage

/// The page to drop an image on: one document, nothing from elsewhere. The policy that goes with it lets its own style and script
/// run, by their sums, and nothing else.
struct SearchPage: Sendable {
  let response: HTTPResponse

  init() {
    let html = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <link rel="icon" href="data:,">
      <title>Lineup search</title>
      <style>\(Self.style)</style>
      </head>
      <body>
      <header>
        <h1>Lineup</h1>
        <p id="about">Search by image</p>
      </header>
      <main>
        <form id="form" aria-label="Search">
          <div id="drop">
            <img id="preview" alt="" hidden>
            <p><label for="file">Choose an image</label> <span class="hint">or drop or paste one here: JPEG or PNG</span></p>
            <input id="file" type="file" accept="image/jpeg,image/png">
          </div>
          <div class="options">
            <label for="top">Matches <input id="top" type="number" min="1" max="100" value="10" required></label>
            <fieldset id="cameras" hidden><legend>Cameras</legend></fieldset>
          </div>
        </form>
        <p id="status" role="status"></p>
        <ol id="matches" aria-label="Matches, nearest first"></ol>
      </main>
      <noscript><p>This page needs JavaScript; POST /search does without: README.md.</p></noscript>
      <script>\(Self.script)</script>
      </body>
      </html>

      """
    let policy = [
      "default-src 'none'", "img-src 'self' blob: data:", "connect-src 'self'", "script-src '\(Self.sum(Self.script))'",
      "style-src '\(Self.sum(Self.style))'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ]
    response = HTTPResponse(
      status: 200, type: "text/html; charset=utf-8",
      headers: ["Content-Security-Policy": policy.joined(separator: "; "), "Cache-Control": "no-store"],
      body: Array(html.utf8))
  }

  /// As a policy names what stands between two tags.
  private static func sum(_ text: String) -> String {
    // OpenSSL without SHA-256 would have failed before: checkpoints are compared by it.
    let digits = Array(try! SHA256.digest(of: text).utf8)
    let bytes = stride(from: 0, to: digits.count, by: 2).map { place in
      UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16)!
    }
    return "sha256-" + Data(bytes).base64EncodedString()
  }

  private static let style = """
    :root {
      --paper: #fbfaf8; --ink: #1d1d1f; --faint: #5f6168; --line: #d9d7d2; --card: #fff; --accent: #0b57a4;
      --accent-ink: #fff; --bad: #a4262c;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --paper: #15171a; --ink: #ececee; --faint: #a3a7af; --line: #34383f; --card: #1e2126; --accent: #8cc2ff;
        --accent-ink: #10161d; --bad: #ff9aa0;
      }
    }
    * { box-sizing: border-box; }
    body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem); max-width: 84rem; background: var(--paper);
      color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
    header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1rem; margin-bottom: 1rem; }
    h1 { margin: 0; font-size: 1.5rem; letter-spacing: -.01em; }
    #about, .hint, dd { color: var(--faint); }
    p { margin: .5rem 0; }
    form { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
    #drop { position: relative; min-height: 9rem; padding: 1rem; border: 2px dashed var(--line); border-radius: .75rem;
      background: var(--card); display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; justify-content: center; }
    #drop.over { border-color: var(--accent); border-style: solid; }
    #drop label { display: inline-block; padding: .45rem 1rem; border-radius: .5rem; background: var(--accent);
      color: var(--accent-ink); font-weight: 600; cursor: pointer; }
    #file { position: absolute; width: 1px; height: 1px; opacity: 0; }
    #drop:has(#file:focus-visible) label { outline: 3px solid var(--accent); outline-offset: 2px; }
    #preview { max-height: 12rem; max-width: 100%; border-radius: .5rem; }
    .options { display: flex; flex-wrap: wrap; gap: .75rem 1.5rem; align-items: center; }
    #top { width: 5rem; font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
      border-radius: .4rem; padding: .25rem .5rem; margin-left: .25rem; }
    fieldset { border: 0; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: .25rem .9rem; max-height: 8rem;
      overflow: auto; }
    fieldset[hidden] { display: none; }
    legend { float: left; padding: 0 .9rem 0 0; }
    fieldset label { white-space: nowrap; }
    fieldset input { margin: 0 .15rem 0 0; vertical-align: -.1em; }
    input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    #status { min-height: 1.5em; }
    #status.bad { color: var(--bad); font-weight: 600; }
    #matches { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 1rem;
      grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
    #matches li { margin: 0; padding: .5rem; background: var(--card); border: 1px solid var(--line);
      border-radius: .75rem; }
    #matches img { display: block; width: 100%; height: 13rem; object-fit: contain; border-radius: .4rem; }
    dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .5rem; margin: .5rem 0 0; font-size: .875rem; }
    dt, dd { margin: 0; overflow-wrap: anywhere; }
    dt { color: var(--faint); }
    dd { color: var(--ink); text-align: right; font-variant-numeric: tabular-nums; }
    .name { color: var(--faint); font-size: .8rem; overflow-wrap: anywhere; }
    """

  private static let script = """
    "use strict";
    const element = id => document.getElementById(id);
    const [drop, file, top_, cameras, status, matches, preview] =
      ["drop", "file", "top", "cameras", "status", "matches", "preview"].map(element);
    let limits = null, image = null, running = null;

    function say(text, isBad) {
      status.textContent = text;
      status.className = isBad ? "bad" : "";
    }

    function make(tag, text, name) {
      const node = document.createElement(tag);
      if (text !== undefined) node.textContent = text;
      if (name) node.className = name;
      return node;
    }

    async function begin() {
      try {
        limits = await (await fetch("/health")).json();
      } catch {
        return say("The service does not answer.", true);
      }
      const known = limits.cameras.filter(camera => camera >= 0).length;
      element("about").textContent = `Search by image among ${limits.images.toLocaleString("en")} images` +
        (known ? ` of ${known} ` + (known === 1 ? "camera" : "cameras") : "");
      top_.max = limits.maximumMatches;
      top_.value = Math.min(10, limits.maximumMatches);
      if (limits.cameras.length < 2) return;
      for (const camera of limits.cameraNames) {
        const label = make("label"), box = make("input");
        [box.type, box.checked, box.value] = ["checkbox", true, camera];
        label.append(box, ` ${camera}`);
        cameras.append(label);
      }
      cameras.hidden = false;
    }

    function show(found) {
      matches.replaceChildren(...found.matches.map(match => {
        const item = make("li"), picture = make("img"), facts = make("dl");
        picture.src = match.image;
        picture.loading = "lazy";
        const labels = [["Identity", match.identity, match.identityName], ["Camera", match.camera, match.cameraName]]
          .filter(([, number]) => number >= 0).map(([label, number, name]) => [label, name ?? number]);
        picture.alt = [`Match ${match.rank}: ${match.name}`, ...labels.map(label => label.join(" ").toLowerCase())].join(", ");
        const rows = [["Rank", match.rank], ["Distance", match.distance.toPrecision(4)], ...labels];
        for (const [name, value] of rows) facts.append(make("dt", name), make("dd", value));
        item.append(picture, facts, make("div", match.name, "name"));
        return item;
      }));
    }

    async function search() {
      if (!image || !limits || !top_.reportValidity()) return;
      if (image.size > limits.maximumBytes) {
        return say(`The image has ${image.size} bytes; ${limits.maximumBytes} are taken.`, true);
      }
      const query = new URLSearchParams({ top: top_.value });
      const boxes = [...cameras.querySelectorAll("input")], chosen = boxes.filter(box => box.checked);
      if (boxes.length && !chosen.length) return say("No camera is chosen.", true);
      if (chosen.length < boxes.length) query.set("camera", chosen.map(box => box.value).join(","));
      if (running) running.abort();
      const mine = running = new AbortController();
      say("Searching …");
      matches.setAttribute("aria-busy", "true");
      try {
        const headers = { "Content-Type": image.type || "application/octet-stream" };
        const answer = await fetch(`/search?${query}`, { method: "POST", body: image, headers, signal: mine.signal });
        const found = await answer.json();
        if (!answer.ok) {
          matches.replaceChildren();
          return say(`Refused (${answer.status}): ${found.error}`, true);
        }
        show(found);
        say(found.matches.length === 1 ? "1 match" : `${found.matches.length} matches, nearest first`);
      } catch (error) {
        if (mine.signal.aborted) return;
        matches.replaceChildren();
        say("The service does not answer.", true);
      } finally {
        if (running === mine) matches.removeAttribute("aria-busy");
      }
    }

    function take(files) {
      const chosen = [...files].find(one => one.type.startsWith("image/")) || files[0];
      if (!chosen) return;
      image = chosen;
      if (preview.src) URL.revokeObjectURL(preview.src);
      preview.src = URL.createObjectURL(image);
      preview.alt = `The query: ${image.name || "a pasted image"}`;
      preview.hidden = false;
      search();
    }

    preview.addEventListener("error", () => { preview.hidden = true; });
    file.addEventListener("change", () => take(file.files));
    top_.addEventListener("change", search);
    cameras.addEventListener("change", search);
    element("form").addEventListener("submit", event => { event.preventDefault(); search(); });
    document.addEventListener("paste", event => take(event.clipboardData.files));
    for (const name of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(name, event => {
        event.preventDefault();
        drop.classList.toggle("over", name === "dragover");
        if (name === "drop") take(event.dataTransfer.files);
      });
    }
    begin();
    """
}
