import Artifacts
import Failures
import Foundation
import Kernels
import Logging
import Ranks
import Synchronization
import Training

/// What a running stage has at hand: settings, log, progress, the clock, the signals.
public final class Stage: Sendable {
  /// The program's name, `vlsi-extract`.
  public let name: String
  public let preset: Preset
  /// Writes to standard error.
  public let log: Logger
  /// Of everything random: `--seed`, else the preset's.
  public let seed: UInt64
  /// Worker threads: `--threads`, else the preset's, else every core.
  public let threads: Int
  /// Only the first samples; nil takes all.
  public let limit: Int?
  /// The processes that do this stage together.
  public let ranks: Ranks

  /// Make the output again and remove what is there.
  let redo: Bool
  /// A run, or a folder of runs, that may have made it already.
  let reuse: String?

  private let isQuiet: Bool
  /// The artifact in the making.
  private let writer = Mutex<ArtifactWriter?>(nil)
  private let memory = MemoryWatch()
  private let start = Stage.monotonicSeconds()

  /// Reads the preset and starts to listen for signals. Throws 66 or 78 for a bad preset.
  public init(name: String, options: some StageOptions, ranks: Ranks = .alone) throws {
    self.name = name
    self.ranks = ranks
    preset = try Preset(contentsOf: options.preset, setting: options.set)
    seed = options.seed ?? preset.run.seed
    threads = options.threads ?? (preset.run.threads > 0 ? preset.run.threads : Cores.own)
    limit = options.limit
    redo = options.redo
    reuse = options.reuse
    Parallelism.threads = threads
    MemoryPlan.keepBlocks(threads: threads)
    Precision.current = preset.run.precision.precision
    // One speaks for all; of the others only what goes wrong is heard.
    isQuiet = options.log.quiet || ranks.rank > 0
    let level: Logger.Level = isQuiet ? .warning : .info
    let number = ranks.rank > 0 ? " [rank \(ranks.rank)]" : ""
    log = Logger(label: Stage.label(name, arguments: CommandLine.arguments) + number) { label in
      StageLogHandler(label: label, format: options.log.logFormat, logLevel: level)
    }
    Interrupt.listen(isLaunched: ranks.count > 1)
    if ranks.count > 1 {
      let share = threads == 1 ? "1 thread" : "\(threads) threads"
      log.info("\(ranks.count) ranks of \(share), \(ranks.library)")
    }
    if let missing = MatrixBuffers.reserve(threads: threads) {
      throw Failure(
        .ioFailed, "the address-space limit leaves no room to multiply matrices", at: name,
        expected: "\(MemoryPlan.text(missing)) for \(threads) threads",
        advice: "Raise `ulimit -v`, or give fewer --threads.")
    }
  }

  /// The program with the artifact that it makes: several stages of a run may speak at a time.
  static func label(_ name: String, arguments: [String]) -> String {
    let program = arguments.first?.split(separator: "/").last.map(String.init) ?? name
    // The stages of a group are named by one word.
    let name = name.hasPrefix("vlsi-") ? name : "\(program) \(name)"
    guard let option = arguments.firstIndex(of: "--output"), option + 1 < arguments.count else {
      return name
    }
    let parts = arguments[option + 1].split(separator: "/")
    let artifact = parts.first == "runs" ? parts.dropFirst(2) : parts.suffix(1)
    return artifact.isEmpty ? name : "\(name) \(artifact.joined(separator: "/"))"
  }

  // MARK: Interruption

  /// Whether SIGINT or SIGTERM came.
  public var interrupted: Bool { Interrupt.isPending }

  /// Throws 75 after a signal. Called between two units of work, where stopping loses little, and where
  /// the kernels may give memory back.
  public func checkInterrupt() throws {
    BufferPool.endUnit()
    if interrupted { throw interruption }
  }

  private var interruption: Failure {
    Failure(
      .interrupted, "interrupted", at: name, advice: "Run the same command again to continue.")
  }

  /// Whether the ranks have all ended at the same place: none needs to end another.
  private let ended = Atomic<Bool>(false)
  var endedTogether: Bool { ended.load(ordering: .relaxed) }

  /// Throws 75 on all ranks where one of them was asked to stop: after a step whose state is safe.
  func endStep(stops: Bool) throws {
    BufferPool.endUnit()
    guard stops else { return }
    ended.store(true, ordering: .relaxed)
    throw interruption
  }

  // MARK: Progress and metrics

  /// Starts a progress display over `total` units, of which `done` were finished by an earlier
  /// run. `unit` is a plural: samples, steps.
  public func progress(total: Int, unit: String, label: String, done: Int = 0) -> Progress {
    // Whoever asks how far the run is finds it in the artifact's folder.
    let writer = writer.withLock { $0 }
    return Progress(
      label: label, unit: unit, total: total, done: done, logger: log, isVisible: !isQuiet
    ) { done, fresh, seconds in
      writer?.note(done: done, of: total, unit, seconds: seconds, fresh: fresh)
    }
  }

  /// Keeps what other ranks may still be writing into, when this one gives up, until the process ends.
  func keep(_ training: ParallelOptimizers) {
    if ranks.count > 1 { _ = Unmanaged.passRetained(training) }
  }

  /// The artifact whose progress is to be told.
  func hold(_ writer: ArtifactWriter) { self.writer.withLock { $0 = writer } }

  /// What the training took so far, in seconds, with what interrupted processes took before.
  func trainingSeconds() -> Double {
    wallSeconds + (writer.withLock { $0 }?.earlierSeconds ?? 0)
  }

  /// The training goes on from a state that took so many seconds.
  func continueTraining(after seconds: Double) {
    writer.withLock { $0 }?.countEarlier(seconds: seconds)
  }

  /// Opens `metrics.jsonl` in an artifact's folder, with the lines of an earlier run that `keeping`
  /// accepts.
  func metrics(_ directory: String, keeping: @escaping (String) -> Bool) throws -> Metrics {
    try Metrics(directory: directory, keeping: keeping)
  }

  // MARK: What the manifest records

  /// Seconds since the stage began.
  public var wallSeconds: Double { Stage.monotonicSeconds() - start }

  /// The largest anonymous memory so far, in bytes, mapped files left out.
  public var peakBytes: Int { memory.peakBytes }

  func close() {
    memory.stop()
    writer.withLock { $0 = nil }
    Terminal.shared.showBar("")
  }

  /// A clock that no change of the time of day moves.
  static func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
