import ArgumentParser
import Artifacts

/// What `Stage` wants to know of a command line. A program declares the groups that it uses; the rest
/// stands at its default.
public protocol StageOptions {
  var preset: String? { get }
  /// `section.key=value`, over the preset.
  var set: [String] { get }
  var threads: Int? { get }
  var seed: UInt64? { get }
  var limit: Int? { get }
  var redo: Bool { get }
  var reuse: String? { get }
  var log: LogOptions { get }
}

extension StageOptions {
  public var preset: String? { nil }
  public var set: [String] { [] }
  public var threads: Int? { nil }
  public var seed: UInt64? { nil }
  public var limit: Int? { nil }
  public var redo: Bool { false }
  public var reuse: String? { nil }
}

/// How a program speaks.
public struct LogOptions: ParsableArguments {
  @Option(help: "Log as lines of text or of JSON.")
  public var logFormat: LogFormat = .text

  @Flag(help: "Only warnings and errors.")
  public var quiet = false

  public init() {}
}

/// Where settings come from.
public struct PresetOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Settings, a YAML file.", valueName: "file"))
  public var preset: String?

  @Option(
    help: ArgumentHelp(
      "One setting over those of the preset, as align.learning_rate=3e-5; again for more.",
      valueName: "section.key=value"))
  public var set: [String] = []

  public init() {}
}

/// How many threads work.
public struct ThreadOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Worker threads (default: every core that this process may use).",
      valueName: "n"))
  public var threads: Int?

  public init() {}

  public mutating func validate() throws {
    if let threads, !(1...4096).contains(threads) {
      throw ValidationError("--threads takes 1 to 4096, not \(threads).")
    }
  }
}

/// Where chance begins.
public struct SeedOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Seed of everything random (default: the preset's, else 0).", valueName: "n")
  )
  public var seed: UInt64?

  public init() {}
}

/// How much is looked at.
public struct LimitOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Only the first n samples or questions.", valueName: "n"))
  public var limit: Int?

  public init() {}

  public mutating func validate() throws {
    if let limit, limit < 1 {
      throw ValidationError("--limit takes 1 or more, not \(limit).")
    }
  }
}

/// What becomes of what is there.
public struct ArtifactOptions: ParsableArguments {
  @Flag(help: "Make it again, finished or not, and remove what is there first.")
  public var redo = false

  @Option(
    help: ArgumentHelp(
      """
      A run, or a folder of runs: where one has this very artifact already, made with the same \
      settings and inputs, its files are linked and nothing is computed.
      """, valueName: "dir"))
  public var reuse: String?

  public init() {}
}

/// The options of a stage.
public struct CommonOptions: ParsableArguments, StageOptions {
  @OptionGroup var settings: PresetOptions
  @OptionGroup var work: ThreadOptions
  @OptionGroup var chance: SeedOptions
  @OptionGroup var extent: LimitOptions
  @OptionGroup var artifact: ArtifactOptions
  @OptionGroup public var log: LogOptions

  public var preset: String? { settings.preset }
  public var set: [String] { settings.set }
  public var threads: Int? { work.threads }
  public var seed: UInt64? { chance.seed }
  public var limit: Int? { extent.limit }
  public var redo: Bool { artifact.redo }
  public var reuse: String? { artifact.reuse }

  public init() {}
}

/// The options of a program that makes no artifact: settings, threads and a seed.
public struct WorkingOptions: ParsableArguments, StageOptions {
  @OptionGroup var settings: PresetOptions
  @OptionGroup var work: ThreadOptions
  @OptionGroup var chance: SeedOptions
  @OptionGroup public var log: LogOptions

  public var preset: String? { settings.preset }
  public var set: [String] { settings.set }
  public var threads: Int? { work.threads }
  public var seed: UInt64? { chance.seed }

  public init() {}
}

/// The options of a program that only reads.
public struct ReadingOptions: ParsableArguments, StageOptions {
  @OptionGroup var work: ThreadOptions
  @OptionGroup var extent: LimitOptions
  @OptionGroup public var log: LogOptions

  public var threads: Int? { work.threads }
  public var limit: Int? { extent.limit }

  public init() {}
}

/// The options of a program that has none of its own kind but threads.
public struct ThreadedOptions: ParsableArguments, StageOptions {
  @OptionGroup var work: ThreadOptions
  @OptionGroup public var log: LogOptions

  public var threads: Int? { work.threads }

  public init() {}
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
