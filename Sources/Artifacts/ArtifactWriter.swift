import Failures
import Glibc
import Kernels
import Synchronization

/// Writes an artifact: shards of records, or single files, then the manifest.
///
/// - Samples `k · samplesPerShard ..< (k + 1) · samplesPerShard` form shard `k`, whoever writes it
///   and whenever, so an interrupted run continues with the shards that are missing and ends with
///   the same bytes.
/// - An earlier artifact made from other settings or inputs is given up at the start: its manifest
///   goes first, so that the folder never claims what it no longer holds.
/// - A folder that holds anything but an artifact of this kind is refused.
///
/// Safe to use from several threads; different shards may be written at the same time.
public final class ArtifactWriter: Sendable {
  public let directory: String
  public let kind: ArtifactKind
  public let samplesPerShard: Int
  /// The folder already holds this very artifact, finished: nothing is to be done.
  public let isComplete: Bool
  /// An interrupted run of the same settings and inputs is being continued.
  public let isContinuing: Bool
  /// Why earlier content was given up, for the log; nil when there was none.
  public let startedOver: String?

  /// Digest of kind, settings, inputs and seed: what a continued run must share.
  public let identity: String
  private let settings: JSON
  private let inputs: [String: String]
  private let seed: UInt64
  private let threads: Int
  private let program: String
  private let version: String
  private let level: Int32
  private let start = ContinuousClock.now
  private let lock: Mutex<ArtifactLock?>
  private let state: Mutex<State>

  private struct State {
    var journal: Journal
    var files: [String: Manifest.File] = [:]
  }

  /// - Parameters:
  ///   - directory: created if it does not exist.
  ///   - settings: all that the content depends on besides inputs and seed, `--limit` included.
  ///   - inputs: fingerprints of what goes in, by name.
  ///   - redo: why to make it again though it is there.
  ///   - level: zstd's level. Floats and noisy pixels, which fill the shards, pack no better at 3.
  /// Throws 73 when the folder cannot be written, is being written, or holds something else.
  public init(
    directory: String, kind: ArtifactKind, settings: JSON, inputs: [String: String] = [:],
    seed: UInt64 = 0, threads: Int = 1, samplesPerShard: Int = 128, program: String? = nil,
    version: String = "0.1.0", redo: String? = nil, level: Int32 = 1
  ) throws {
    precondition(samplesPerShard > 0)
    self.directory = directory
    self.kind = kind
    self.samplesPerShard = samplesPerShard
    self.settings = settings
    self.inputs = inputs
    self.seed = seed
    self.threads = threads
    self.program = program ?? CommandLine.arguments.first.map(Files.name(of:)) ?? "vlsi"
    self.version = version
    self.level = level

    try Files.makeDirectory(directory)
    try ArtifactWriter.refuseForeign(directory, kind: kind)
    let lock = try ArtifactLock(directory: directory)
    identity = Manifest.identity(
      kind: kind, settings: settings, inputs: inputs, seed: seed, samplesPerShard: samplesPerShard)

    let found = try ArtifactWriter.takeOver(directory, kind: kind, identity: identity, redo: redo)
    isComplete = found.complete
    isContinuing = found.journal.map { !$0.shards.isEmpty || found.continued } ?? false
    startedOver = found.startedOver
    self.lock = Mutex(found.complete ? nil : lock)
    state = Mutex(State(journal: found.journal ?? Journal(identity: identity)))
  }

  // MARK: Shards

  /// The shard that a sample belongs to.
  public func shard(of index: Int) -> Int { index / samplesPerShard }

  /// Numbers of the shards that are done, ascending.
  public var finishedShards: [Int] { state.withLock { $0.journal.shards.keys.sorted() } }

  /// The shards still to be written for these samples, each with its samples, ascending.
  public func unfinishedShards(of indices: [Int]) -> [(shard: Int, indices: [Int])] {
    let finished = Set(finishedShards)
    return Dictionary(grouping: indices.sorted(), by: shard(of:))
      .filter { !finished.contains($0.key) }
      .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  static func shardName(_ number: Int) -> String {
    let digits = String(number)
    return "shard-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".lmdb"
  }

  /// Writes shard `number`; `body` appends its records in ascending order of sample index. When
  /// it throws, nothing of the shard remains. Throws 74, 73.
  public func writeShard(
    _ number: Int, _ body: (_ append: (Record) throws -> Void) throws -> Void
  ) throws {
    let name = ArtifactWriter.shardName(number)
    let path = Files.join(directory, name)
    let file = try LMDBWriter(path)
    var indices: [Int] = []
    var described: [String: Manifest.TensorDescription] = [:]
    try body { record in
      guard self.shard(of: record.index) == number, record.index >= 0 else {
        throw Failure(
          .software, "sample \(record.index) does not belong to this shard", at: path)
      }
      try file.append(
        key: LMDB.key(record.index), value: record.encoded(level: level))
      indices.append(record.index)
      for (name, tensor) in record.tensors where described[name] == nil {
        described[name] = Manifest.TensorDescription(
          name: name, type: tensor.type,
          axes: kind.axes(of: name, rank: tensor.shape.count))
      }
    }
    try file.commit()
    let shard = Manifest.Shard(
      file: name, records: indices.count, first: indices.first, last: indices.last,
      bytes: Files.size(path) ?? 0, checksum: try Fingerprint.file(path))
    try state.withLock {
      $0.journal.shards[number] = shard
      $0.journal.tensors[number] = described.values.sorted { naturallyPrecedes($0.name, $1.name) }
      try $0.journal.write(in: directory)
    }
  }

  // MARK: Files

  /// The path of a file of this artifact.
  public func path(_ name: String) -> String { Files.join(directory, name) }

  /// Writes a file of the artifact at once. Throws 73, 74.
  public func writeFile(_ name: String, _ bytes: [UInt8]) throws {
    try writeAtomically(bytes, to: path(name))
    try adoptFile(name)
  }

  /// Takes a file that was written into the folder by other means into the manifest.
  public func adoptFile(_ name: String) throws {
    let file = Manifest.File(
      file: name, bytes: Files.size(path(name)) ?? 0,
      checksum: try Fingerprint.file(path(name)))
    state.withLock { $0.files[name] = file }
  }

  /// A folder inside the artifact for what only an unfinished run needs, such as the state of a
  /// training. It is created on the first call, kept for the run that continues, and removed at
  /// the end or when a run starts over.
  public func scratchDirectory() throws -> String {
    let path = path(ArtifactWriter.scratchName)
    try Files.makeDirectory(path)
    return path
  }

  // MARK: The end

  /// Writes the manifest: the artifact is finished. Throws 73, 74.
  @discardableResult
  public func finish(
    facts: [String: JSON] = [:], wallSeconds: Double? = nil, peakBytes: Int? = nil
  ) throws -> Manifest {
    let (journal, files) = state.withLock { ($0.journal, $0.files) }
    var tensors: [String: Manifest.TensorDescription] = [:]
    for (_, described) in journal.tensors.sorted(by: { $0.key < $1.key }) {
      for tensor in described where tensors[tensor.name] == nil { tensors[tensor.name] = tensor }
    }
    let spent = ContinuousClock.now - start
    let manifest = Manifest(
      kind: kind, tensors: tensors.values.sorted { naturallyPrecedes($0.name, $1.name) },
      shards: journal.shards.sorted { $0.key < $1.key }.map(\.value),
      samplesPerShard: samplesPerShard,
      files: files.values.sorted { $0.file < $1.file }, settings: settings, inputs: inputs,
      facts: facts, seed: seed, threads: threads, program: program, version: version,
      wallSeconds: wallSeconds ?? spent / .seconds(1),
      peakBytes: peakBytes ?? ArtifactWriter.peakBytes())
    try writeAtomically(manifest.json.text(pretty: true), to: path(Manifest.fileName))
    try Files.remove(path(Journal.fileName))
    try Files.removeTree(path(ArtifactWriter.scratchName))
    lock.withLock { $0 = nil }
    return manifest
  }

  /// For an artifact that was complete from the start: renews its time of change, so that Make
  /// sees it as newer than its inputs.
  public func confirm() { Files.touch(path(Manifest.fileName)) }

  private static func peakBytes() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }
}
