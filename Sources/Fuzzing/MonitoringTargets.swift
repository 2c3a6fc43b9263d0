import Foundation
import Monitor
import Storage
import TensorBoard
import Tensors

/// `metrics.jsonl` of a run: as a table, and as it is watched.
struct MetricsTarget: FuzzReader {
  static let words = [
    "{\"step\": ", "\"epoch\": ", "\"loss\": ", "\"crossEntropy\": ", "\"learningRate\": ", "\"images\": ",
    "\"seconds\": ",
    "\"convolutionShare\": ", "\"mAP\": ", "\"B.mAP\": ", "\"rank1\": ", "\"skipped\": ", "null", "true", "false",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"", "1e308", "-1e308", "9007199254740992", "4.9e-324", "}\n{", ", ",
  ]
  private static let width = 70, height = 40
  private let folder: FuzzFolder
  /// Reads the configuration once.
  private let begun: RunView

  init(_ folder: FuzzFolder) throws {
    self.folder = folder
    try folder.file("config.yaml", Array("schedule: {epochs: 3}\n".utf8))
    var view = RunView(folder.path)
    try view.look()
    begun = view
  }

  func read(_ bytes: [UInt8]) throws {
    let path = try folder.file("metrics.jsonl", bytes)
    // What is watched may have lines that cannot be read.
    var view = begun, lines = RunLines()
    try view.look()
    let frame = RunFrame(view, width: Self.width, height: Self.height).lines(inks: false)
    try FuzzFinding.require(frame.count <= Self.height, "a frame of \(frame.count) lines")
    for line in frame + lines.next(view) + RunLines.shares(view) {
      try FuzzFinding.require(
        Printable.line(line, limit: 1 << 20) == line, "a line that is not fit for a terminal: \(line)")
    }
    try FuzzFinding.require(frame.allSatisfy { $0.count <= Self.width }, "a line wider than the frame")
    for kind in [MetricsTable.Kind.steps, .evaluations] {
      let table = try MetricsTable(path, kind)
      var rows = 0
      try table.csv { row in
        rows += 1
        try FuzzFinding.require(row.hasSuffix("\r\n"), "a row without an end: \(row)")
      }
      try FuzzFinding.require(table.columns.isEmpty == (rows == 0) && rows != 1, "\(rows) rows below names")
    }
  }
}

/// An event file that a run goes on in.
struct EventsTarget: FuzzReader {
  /// Lengths, and whole records.
  static let words: [String] =
    ["\u{18}\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\u{80}", "\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{7f}"]
    + ["", "x", "brain.Event:2"].map { text in
      String(String.UnicodeScalarView(EventRecord.framed(Array(text.utf8)).map { UnicodeScalar($0) }))
    }
  private static let name = "events.out.tfevents.1700000000.fuzz.1"
  private let folder: FuzzFolder

  init(_ folder: FuzzFolder) { self.folder = folder }

  func read(_ bytes: [UInt8]) throws {
    let path = try folder.file(Self.name, bytes)
    let before = try EventRecord.content(of: try InputFile(path))
    let file = try EventFile(in: folder.path, from: 7)
    try FuzzFinding.require((file.path == path) == before.isContinued, "goes on in \(file.path): \(before)")
    let after = try InputFile(file.path), content = try EventRecord.content(of: after)
    try FuzzFinding.require(content == .whole(after.size), "what was appended cannot be read: \(content)")
    if file.path != path {
      unlink(file.path)
      throw Failure.data(path, "no event file")
    }
  }
}

extension EventRecord.Content {
  fileprivate var isContinued: Bool {
    switch self {
    case .whole(let bytes), .torn(let bytes): bytes > 0
    case .damaged: false
    }
  }
}
