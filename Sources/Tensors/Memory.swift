/// Memory that the system may refuse.
package enum Memory {
  /// What an allocator returned. A refusal ends the process with a line: nothing below a step could go on without it, and
  /// what a job needs was compared with what there is before its first step.
  package static func granted(_ pointer: UnsafeMutableRawPointer?, bytes: Int) -> UnsafeMutableRawPointer {
    guard let pointer else { LastWords.say("out of memory: the system refuses \(bytes) bytes more") }
    return pointer
  }
}
