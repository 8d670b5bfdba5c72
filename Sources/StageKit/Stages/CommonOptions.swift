import ArgumentParser
import Artifacts

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

/// The options of stages whose shards several processes may make.
public struct ShareOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Only share i of n of the shards, as 0/4, beside processes that make the others. The same \
      command without it then takes them over and finishes.
      """, valueName: "i/n"))
  public var share: Share?

  @Option(
    help: ArgumentHelp("Only shards a to b - 1, as 8:16, likewise.", valueName: "a:b"))
  public var shards: ShardRange?

  public init() {}

  public func validate() throws {
    if share != nil, shards != nil {
      throw ValidationError("--share and --shards exclude each other.")
    }
  }

  /// Which shards to make.
  public var wanted: Share { share ?? shards?.share ?? .all }
}

extension Share: ExpressibleByArgument {
  /// `0/4`, the first of four.
  public init?(argument: String) {
    guard let (number, count) = pair(argument, "/"), number < count else { return nil }
    self = .part(number, of: count)
  }
}

/// `8:16`, shards 8 to 15.
public struct ShardRange: ExpressibleByArgument {
  let share: Share

  public init?(argument: String) {
    guard let (first, end) = pair(argument, ":"), first < end else { return nil }
    share = .shards(first..<end)
  }
}

/// Two whole numbers, zero or more.
private func pair(_ text: String, _ separator: Character) -> (Int, Int)? {
  let words = text.split(separator: separator, omittingEmptySubsequences: false)
  guard words.count == 2, words.allSatisfy({ $0.allSatisfy(\.isWholeNumber) && $0.count < 10 }),
    let first = Int(words[0]), let second = Int(words[1])
  else { return nil }
  return (first, second)
}

/// How log lines look.
public enum LogFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
  case text
  case json
}
