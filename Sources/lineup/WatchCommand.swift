import ArgumentParser
import Collectives
import Foundation
import Monitor
import Storage
import Tensors
import Training

/// A look at a run while it trains, from the files of its folder alone.
struct WatchCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Show a run in the terminal while it trains, or after.",
    discussion:
      "Reads the run's files and nothing else, so it may run on any host that sees them. On a terminal q or Ctrl-C "
      + "ends it; elsewhere, or with --plain, it prints a line for what is new, and ends with the job.")

  @Argument(help: "The run's folder; one that is not there yet is waited for.") var run: String
  @Flag(name: .long, help: "Lines without any signs for a terminal.") var plain = false
  @Flag(name: .long, help: "Show it once and end.") var once = false

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.agree {
      try communicator.requireAlone("watch is")
      if run.isEmpty { throw Failure.usage("the path of a run's folder is missing") }
      if FileIdentity(run) != nil && !InputFile.isFolder(run) { throw Failure.usage(run, "is no folder") }
      var view = RunView(run)
      try view.look()
      if once { return try show(view) }
      if plain || !Terminal.isThere { try follow(&view) } else { try draw(&view) }
    }
  }

  private var inks: Bool {
    Terminal.isThere && ProcessInfo.processInfo.environment["NO_COLOR"].map(\.isEmpty) ?? true
  }

  private func show(_ view: RunView) throws {
    guard view.state != .absent else { throw Failure.data(run, "no run in it (looked for config.yaml)") }
    if plain {
      var lines = RunLines()
      return say(lines.next(view) + RunLines.shares(view))
    }
    let size = Terminal.size ?? (width: 80, height: 32)
    say(RunFrame(view, width: size.width, height: size.height).lines(inks: inks))
  }

  /// Lines until no job is there any more.
  private func follow(_ view: inout RunView) throws {
    var lines = RunLines(), wasThere = false
    while true {
      say(lines.next(view))
      let isThere = view.state != .absent
      if isThere && !view.state.isAlive || StopSignal.isRequested || Terminal.isLeft { return }
      if wasThere && !isThere { throw Failure.data(run, "the run is gone") }
      wasThere = isThere
      for _ in 0..<10 where !StopSignal.isRequested { usleep(100_000) }
      try view.look()
    }
  }

  private func draw(_ view: inout RunView) throws {
    let terminal = Terminal()
    try withExtendedLifetime(terminal) {
      var size = (width: 0, height: 0), looked = Timeline.now
      while !StopSignal.isRequested {
        let now = Timeline.now, room = Terminal.size ?? (width: 80, height: 24)
        if now - looked >= 1_000_000_000 || room != size {
          try view.look()
          (looked, size) = (now, room)
          terminal.draw(RunFrame(view, width: size.width, height: size.height).lines(inks: inks))
        }
        guard let keys = terminal.keys(100),
          !keys.contains(where: { [UInt8(ascii: "q"), UInt8(ascii: "Q"), 3].contains($0) })
        else { return }
      }
    }
  }

  private func say(_ lines: [String]) {
    if !lines.isEmpty { Console.write(lines.joined(separator: "\n") + "\n") }
  }
}
