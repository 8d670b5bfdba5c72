import Failures
import Glibc
import Kernels
import Synchronization

/// Writes an artifact: shards of records, or single files, then the manifest.
///
/// - Samples `k · samplesPerShard ..< (k + 1) · samplesPerShard` form shard `k`, whoever writes it
///   and whenever, so an interrupted run continues with the shards that are missing and ends with
///   the same bytes.
/// - A finished artifact of which shards are damaged or missing gets those again; its manifest and
///   all else stay as they are.
/// - An earlier artifact made from other settings or inputs is moved aside (`Superseded`) and goes
///   when the new one is finished.
/// - A folder that holds anything but an artifact of this kind is refused.
/// - Several processes may work on one artifact, each on its `Share` of the shards; the one without a
///   share makes what is missing then, and writes the manifest.
///
/// Safe to use from several threads; different shards may be written at the same time.
public final class ArtifactWriter: Sendable {
  public let directory: String
  public let kind: ArtifactKind
  public let samplesPerShard: Int
  /// The shards that this process makes.
  public let share: Share
  /// The folder already holds this very artifact, finished: nothing is to be done.
  public let isComplete: Bool
  /// An interrupted run of the same settings and inputs is being continued.
  public let isContinuing: Bool
  /// The finished artifact of which some shards are made again; nil otherwise.
  public let repaired: Manifest?
  /// Why earlier content was given up, for the log; nil when there was none.
  public let startedOver: String?
  /// Where earlier content was moved until this artifact is finished; nil when there was none.
  public let movedAside: String?
  /// The artifact of another run that was this one already; nil where there was none.
  public let linkedFrom: String?

  /// Digest of kind, settings, inputs and seed: what a continued run must share.
  public let identity: String
  private let recipe: Recipe
  private let execution: JSON
  private let threads: Int
  private let program: String
  private let level: Int32
  private let start = ContinuousClock.now
  private let lease: Mutex<Lease?>
  private let state: Mutex<State>
  private let checked: CheckedFiles

  private struct State {
    var journal: Journal
    var files: [String: Manifest.File] = [:]
    /// When this process began with the shard that it is at.
    var since = ContinuousClock.now
    /// What those took whose work this process goes on with: at first, whose shards it found.
    var earlierSeconds: Double

    init(journal: Journal) {
      self.journal = journal
      earlierSeconds = journal.shards.values.reduce(0) { $0 + ($1.seconds ?? 0) }
    }
  }

  /// - Parameters:
  ///   - directory: created if it does not exist.
  ///   - settings: all that the content depends on besides inputs and seed, `--limit` included.
  ///   - execution: settings that do not decide the content; recorded, and part of no identity.
  ///   - inputs: fingerprints of what goes in, by name.
  ///   - seed: of everything random in it; nil where nothing is.
  ///   - redo: why to make it again though it is there.
  ///   - discard: remove what was there at once instead of moving it aside.
  ///   - level: zstd's level. Floats and noisy pixels, which fill the shards, pack no better at 3.
  ///   - earlier: a run, or a folder of runs, whose finished artifact of the same recipe is linked in
  ///     place of being made again; nil looks nowhere.
  ///   - share: which shards this process makes; `finish` is for those that make all.
  ///   - patience: how long another machine's writer is watched that does not count on; nil for 45
  ///     seconds, or what `VLSI_LOCK_PATIENCE` says.
  ///   - before: checks that there is something to do for: called once that is known, before
  ///     anything in the folder is touched.
  /// Throws 73 when the folder cannot be written, one of the shards is being written, or the folder
  /// holds something else, and what `before` throws.
  public init(
    directory: String, kind: ArtifactKind, settings: JSON, execution: JSON = [:],
    inputs: [String: String] = [:], seed: UInt64? = nil, threads: Int = 1,
    samplesPerShard: Int = 128, program: String? = nil,
    redo: String? = nil, discard: Bool = false, earlier: String? = nil,
    level: Int32 = 1, share: Share = .all, patience: Duration? = nil, before: () throws -> Void = {}
  ) throws {
    precondition(samplesPerShard > 0)
    precondition(share == .all || !discard, "a share does not discard what others made")
    self.directory = directory
    self.kind = kind
    self.samplesPerShard = samplesPerShard
    self.share = share
    recipe = Recipe(
      kind: kind, settings: settings, inputs: inputs, seed: seed, samplesPerShard: samplesPerShard)
    self.execution = execution
    self.threads = threads
    self.program = program ?? CommandLine.arguments.first.map(Files.name(of:)) ?? "vlsi"
    self.level = level
    identity = recipe.identity

    let isNew = !Files.isDirectory(directory)
    try Files.makeDirectory(directory)
    try ArtifactWriter.refuseForeign(directory, kind: kind)
    let admission = Admission(
      directory: directory, share: share, identity: identity, patience: patience ?? Lease.patience)
    let begun = try ArtifactWriter.begin(
      admission, recipe, redo: redo ?? (discard ? "it is made again as asked" : nil),
      discard: discard,
      earlier: earlier.flatMap { EarlierArtifacts(in: $0, for: directory) }
    ) {
      do {
        try before()
      } catch {
        if isNew { Files.removeUntouched(directory) }
        throw error
      }
    }
    isComplete = begun.isComplete
    isContinuing = begun.isContinuing
    repaired = begun.repaired
    startedOver = begun.startedOver
    movedAside = begun.movedAside
    linkedFrom = begun.linkedFrom
    lease = Mutex(begun.isComplete ? nil : begun.lease)
    state = Mutex(State(journal: begun.journal))
    checked = CheckedFiles(directory: directory)
  }

  /// The settings of the artifact in a folder, finished or in the making; nil where there is none.
  public static func settings(in directory: String) -> JSON? {
    (try? ArtifactReader.manifest(in: directory))?.settings
      ?? Journal.read(in: directory)?.recipe["settings"]
  }

  // MARK: Shards

  /// The shard that a sample belongs to.
  public func shard(of index: Int) -> Int { index / samplesPerShard }

  /// Numbers of the share's shards that are done, ascending.
  public var finishedShards: [Int] { state.withLock { $0.journal.shards.keys.sorted() } }

  /// The shards of this share still to be written for these samples, each with its samples,
  /// ascending.
  public func unfinishedShards(of indices: [Int]) -> [(shard: Int, indices: [Int])] {
    let finished = Set(finishedShards)
    return Dictionary(grouping: indices.sorted(), by: shard(of:))
      .filter { share.contains($0.key) && !finished.contains($0.key) }
      .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The shards that are done, to be read while the artifact is in the making, ascending.
  public var shards: [ShardFile] {
    get throws {
      try state.withLock { $0.journal.shards }.sorted { $0.key < $1.key }
        .map { try ShardFile(path: path($0.value.shard.file)) }
    }
  }

  /// A folder of artifacts that an artifact is put together from; they come and go by themselves.
  public static let partsName = "parts"

  static func shardName(_ number: Int) -> String {
    let digits = String(number)
    return "shard-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".lmdb"
  }

  static func shardNumber(_ name: some StringProtocol) -> Int? {
    guard name.hasPrefix("shard-"), name.hasSuffix(".lmdb"),
      let number = Int(name.dropFirst(6).dropLast(5)), shardName(number) == name
    else { return nil }
    return number
  }

  /// The lines of metrics of the shards that are done, in their order.
  /// - Parameter shards: of these alone.
  public func lines(of shards: Set<Int>? = nil) -> [String] {
    state.withLock { state in
      state.journal.shards.filter { shards?.contains($0.key) ?? true }
        .sorted { $0.key < $1.key }.compactMap(\.value.line)
    }
  }

  /// The most memory that records take on their way into a shard.
  /// - Parameter record: bytes of the tensors of the largest one
  public static func memory(record: Int) -> Int { RecordBatch.memory(record: record) }

  /// Writes shard `number`; `body` appends its records in ascending order of sample index. When
  /// it throws, nothing of the shard remains. Throws 74, 73.
  public func writeShard(
    _ number: Int, _ body: (_ append: (Record) throws -> Void) throws -> Void
  ) throws {
    try writeMeasuredShard(number) { append in
      try withoutActuallyEscaping(append) { try body($0) }
      return nil
    }
  }

  /// The same, with a line of metrics, JSON, that `body` returns: it is kept with the shard.
  public func writeMeasuredShard(
    _ number: Int, _ body: (_ append: (Record) throws -> Void) throws -> String?
  ) throws {
    let name = ArtifactWriter.shardName(number)
    let path = Files.join(directory, name)
    var records = try RecordBatch(path: path, level: level)
    var indices: [Int] = []
    var described: [String: Manifest.TensorDescription] = [:]
    let line = try body { record in
      guard self.shard(of: record.index) == number, record.index >= 0 else {
        throw Failure(
          .software, "sample \(record.index) does not belong to this shard", at: path)
      }
      try records.append(record)
      indices.append(record.index)
      for (name, tensor) in record.tensors where described[name] == nil {
        described[name] = Manifest.TensorDescription(
          name: name, type: tensor.type,
          axes: kind.axes(of: name, rank: tensor.shape.count))
      }
    }
    try requireHeld()
    let file = try records.commit()
    let shard = Manifest.Shard(
      file: name, records: indices.count, first: indices.first, last: indices.last,
      bytes: file.bytes, checksum: file.checksum)
    var entry = Journal.Entry(
      shard: shard, tensors: described.values.sorted { naturallyPrecedes($0.name, $1.name) },
      line: line, stamp: CheckedFiles.stamp(path))
    try state.withLock {
      let now = ContinuousClock.now
      entry.seconds = (now - $0.since) / .seconds(1)
      $0.since = now
      // A repair has its journal in the manifest, which stays.
      if repaired == nil {
        try $0.journal.add(number, entry, in: directory)
      } else {
        $0.journal.shards[number] = entry
        checked.note(name, checksum: shard.checksum)
      }
    }
  }

  /// Throws 73 when another process took this one for dead and goes on with its work.
  private func requireHeld() throws { try lease.withLock { try $0?.requireHeld() } }

  /// Seconds that earlier processes took for what this one goes on with.
  public var earlierSeconds: Double { state.withLock { $0.earlierSeconds } }

  /// Notes what the processes took whose work this one goes on with, where it lies in no shards.
  public func countEarlier(seconds: Double) { state.withLock { $0.earlierSeconds += seconds } }

  /// Tells whoever looks how far this process is.
  /// - Parameter unit: a plural: samples, steps.
  public func note(done: Int, of total: Int, _ unit: String, seconds: Double, fresh: Int) {
    let json: JSON = [
      "done": .int(done), "total": .int(total), "unit": .string(unit), "fresh": .int(fresh),
      "seconds": .number((seconds * 10).rounded() / 10),
    ]
    lease.withLock { $0?.note(String(json.text().dropFirst().dropLast())) }
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
    checked.note(name, checksum: file.checksum)
    state.withLock { $0.files[name] = file }
  }

  /// A folder inside the artifact for what only an unfinished run needs, such as the state of a
  /// training. It is created on the first call, kept for the run that continues, and removed at
  /// the end or when a run starts over.
  public func scratchDirectory() throws -> String {
    let path = ArtifactWriter.scratchDirectory(of: directory)
    try Files.makeDirectory(path)
    return path
  }

  /// Where that is, for those who only look.
  public static func scratchDirectory(of directory: String) -> String {
    Files.join(directory, scratchName)
  }

  // MARK: The end

  /// Files beside the artifact that tell how it was made, where there are any.
  static let logNames = ["images.jsonl", "metrics.jsonl"]
  /// What TensorBoard's files begin with, which hold the metrics too.
  public static let eventPrefix = "events.out.tfevents."

  private func logs() throws -> [Manifest.File] {
    let events = try Files.list(directory).filter { $0.hasPrefix(ArtifactWriter.eventPrefix) }
    return try (ArtifactWriter.logNames + events).compactMap { name in
      guard let bytes = Files.size(path(name)) else { return nil }
      let file = Manifest.File(
        file: name, bytes: bytes, checksum: try Fingerprint.file(path(name)))
      checked.note(name, checksum: file.checksum)
      return file
    }
  }

  /// Writes the manifest: the artifact is finished. What was moved aside goes. After a repair that
  /// gave the same bytes the manifest stays as it is, times included. Throws 73, 74.
  /// - Parameter wallSeconds: what it took this process; nil for all of the writer's life. What others
  ///   took who had a part in it is added.
  @discardableResult
  public func finish(
    facts: [String: JSON] = [:], wallSeconds: Double? = nil, peakBytes: Int? = nil
  ) throws -> Manifest {
    precondition(share == .all, "the manifest is written by who makes all shards")
    try requireHeld()
    let (journal, files) = state.withLock { ($0.journal, $0.files) }
    let entries = journal.shards.sorted { $0.key < $1.key }.map(\.value)
    let shards = entries.map(\.shard)
    var manifest: Manifest
    if let repaired {
      if shards == repaired.shards {
        try Files.removeTree(path(ArtifactWriter.scratchName))
        lease.withLock { $0 = nil }
        return repaired
      }
      manifest = repaired
      manifest.shards = shards
      manifest.files = repaired.files.map { files[$0.file] ?? $0 }
    } else {
      let spent = ContinuousClock.now - start
      manifest = Manifest(
        kind: kind, tensors: ArtifactWriter.tensors(journal), shards: shards,
        samplesPerShard: samplesPerShard, files: files.values.sorted { $0.file < $1.file },
        logs: try logs(), settings: recipe.settings, execution: execution, inputs: recipe.inputs,
        facts: facts, seed: recipe.seed, threads: threads, program: program,
        version: Version.current,
        wallSeconds: (wallSeconds ?? spent / .seconds(1)) + earlierSeconds,
        peakBytes: peakBytes ?? ArtifactWriter.peakBytes())
    }
    try writeAtomically(manifest.json.text(pretty: true), to: path(Manifest.fileName))
    try Files.remove(path(Journal.fileName))
    try Files.removeTree(path(ArtifactWriter.scratchName))
    try Superseded(directory: directory).removeAll()
    checked.keep(
      manifest.everyFile.map(\.file),
      entries.compactMap { entry in entry.stamp.map { (entry.shard.asFile, $0) } })
    lease.withLock { $0 = nil }
    return manifest
  }

  private static func tensors(_ journal: Journal) -> [Manifest.TensorDescription] {
    var tensors: [String: Manifest.TensorDescription] = [:]
    for (_, entry) in journal.shards.sorted(by: { $0.key < $1.key }) {
      for tensor in entry.tensors where tensors[tensor.name] == nil {
        tensors[tensor.name] = tensor
      }
    }
    return tensors.values.sorted { naturallyPrecedes($0.name, $1.name) }
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
