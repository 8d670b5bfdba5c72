import ArgumentParser

/// The options that every stage has.
public struct CommonOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Settings, a YAML file.", valueName: "file"))
  public var preset: String?

  @Option(
    help: ArgumentHelp("Worker threads (default: the preset's, else every core).", valueName: "n"))
  public var threads: Int?

  @Option(
    help: ArgumentHelp("Seed of everything random (default: the preset's, else 0).", valueName: "n")
  )
  public var seed: UInt64?

  @Option(help: ArgumentHelp("Only the first n samples.", valueName: "n"))
  public var limit: Int?

  @Flag(help: "Make it again, finished or not, and remove what is there first.")
  public var redo = false

  @Option(help: "Log as lines of text or of JSON.")
  public var logFormat: LogFormat = .text

  @Flag(help: "Only warnings and errors.")
  public var quiet = false

  public init() {}

  public mutating func validate() throws {
    if let threads, !(1...4096).contains(threads) {
      throw ValidationError("--threads takes 1 to 4096, not \(threads).")
    }
    if let limit, limit < 1 {
      throw ValidationError("--limit takes 1 or more, not \(limit).")
    }
  }
}

/// How log lines look.
public enum LogFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
  case text
  case json
}
