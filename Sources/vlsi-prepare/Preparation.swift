import Artifacts
import Failures
import Kernels
import StageKit
import Synchronization

/// The stage's work: entries in, shards out, a batch of entries at a time over all threads.
struct Preparation {
  let stage: Stage
  let writer: ArtifactWriter
  let builder: SampleBuilder
  /// Entries of the data set.
  let total: Int
  /// The share of rejected entries that is borne.
  let mostRejects: Double
  private var all = ShardNote()

  init(
    stage: Stage, writer: ArtifactWriter, builder: SampleBuilder, total: Int, mostRejects: Double
  ) {
    self.stage = stage
    self.writer = writer
    self.builder = builder
    self.total = total
    self.mostRejects = mostRejects
  }

  static let rejectsFile = "rejects.jsonl"

  /// Makes the shards of the writer's share. Returns what is known of all; nil where there are others.
  mutating func run(_ reader: DatasetEntries) throws -> ShardNote? {
    let scratch = try writer.scratchDirectory()
    let finished = Set(writer.finishedShards)
    let settled = Dictionary(
      uniqueKeysWithValues: finished.compactMap { shard in
        writer.repaired != nil
          ? (shard, ShardNote())
          : ShardNote.settled(shard, in: scratch, builder.images).map { (shard, $0) }
      })
    let metrics = try ShardMetrics(writer, done: Set(settled.keys))
    defer { metrics.close() }
    writer.expect(records: total)
    let shards = 0...(total - 1) / writer.samplesPerShard
    let mine = shards.reduce(0) { $0 + (writer.share.contains($1) ? indices($1).count : 0) }
    let done = settled.keys.reduce(0) { $0 + indices($1).count }
    if done > 0 { stage.log.info("continuing: \(done) of \(mine) entries are done") }
    let progress = stage.progress(total: mine, unit: "samples", label: "prepare", done: done)
    for shard in shards {
      if let note = writer.share.contains(shard) ? settled[shard] : ShardNote() {
        for _ in indices(shard) { _ = try reader.next() }
        all.totals += note.totals
        all.rejects += note.rejects
        continue
      }
      try metrics.write(shard) { append in
        let note = try write(shard, reader, progress, append)
        // Before the shard has its name: a finished shard has its note.
        try note.write(shard, in: scratch)
        return [
          ("shard", .int(shard)), ("samples", .int(note.totals.samples)),
          ("rejects", .int(note.rejects.count)), ("tokens", .int(note.totals.tokens)),
          ("supervised_tokens", .int(note.totals.supervised)),
          ("image_tokens", .int(note.totals.imageTokens)),
          ("seconds", .number((stage.wallSeconds * 1000).rounded() / 1000)),
        ]
      }
    }
    if writer.repaired != nil {
      progress.finish()
      return stage.isWhole(writer) ? all : nil
    }
    progress.finish(
      note: "\(all.totals.tokens) tokens, \(all.totals.supervised) supervised, "
        + "\(all.rejects.count) rejected")
    guard stage.isWhole(writer) else { return nil }
    try check(final: true)
    try writer.writeFile(Preparation.rejectsFile, Array(rejectLines.utf8))
    try ImageFolder.write(in: writer.directory) { put in
      for shard in shards { try ShardNote.images(shard, in: scratch).forEach(put) }
    }
    if !all.rejects.isEmpty {
      stage.log.warning(
        "\(all.rejects.count) of \(total) entries rejected: see \(rejectsPath)")
    }
    return all
  }

  private var rejectsPath: String { writer.path(Preparation.rejectsFile) }

  private var rejectLines: String {
    all.rejects.map { $0.json.text() + "\n" }.joined()
  }

  private func indices(_ shard: Int) -> Range<Int> {
    let start = shard * writer.samplesPerShard
    return start..<min(total, start + writer.samplesPerShard)
  }

  private mutating func write(
    _ shard: Int, _ reader: DatasetEntries, _ progress: Progress,
    _ append: (Record) throws -> Void
  ) throws -> ShardNote {
    var note = ShardNote()
    // Two names may be equal to a `String` and yet be two files.
    var images: [ExactText: ImageStamp] = [:]
    let before = all.rejects
    var left = indices(shard).count
    while left > 0 {
      try stage.checkInterrupt()
      var entries: [DatasetReader.Entry] = []
      while entries.count < min(left, stage.threads * 8), let entry = try reader.next() {
        entries.append(entry)
      }
      guard !entries.isEmpty else {
        throw Failure(
          .ioFailed, "the data set changed while it was read", at: reader.name,
          expected: "\(total) entries")
      }
      left -= entries.count
      for built in build(entries) {
        for stamp in built?.images ?? [] where images[ExactText(stamp.name)] == nil {
          images[ExactText(stamp.name)] = stamp
        }
        switch built?.outcome {
        case .sample(let record, let totals)?:
          try append(record)
          note.totals += totals
        case .reject(let reject)?: note.rejects.append(reject)
        case .failure(let failure)?: throw failure
        case nil: throw Failure(.software, "an entry was left out", at: reader.name)
        }
      }
      all.rejects = before + note.rejects
      try check(final: false)
      progress.advance(entries.count, note: "\(all.rejects.count) rejected")
    }
    all.totals += note.totals
    note.images = images.sorted { $0.key < $1.key }.map(\.value)
    return note
  }

  private func build(_ entries: [DatasetReader.Entry]) -> [SampleBuilder.Built?] {
    let results = Mutex([SampleBuilder.Built?](repeating: nil, count: entries.count))
    parallelFor(entries.count) { range in
      for position in range {
        let built = builder.build(entries[position])
        results.withLock { $0[position] = built }
      }
    }
    return results.withLock { $0 }
  }

  /// Stops as soon as more entries are rejected than the preset bears, leaving `rejects.jsonl`.
  private func check(final: Bool) throws {
    let most = Int((Double(total) * mostRejects).rounded(.down))
    let found = all.rejects.count
    let nothing = final && all.totals.samples == 0
    guard found > most || nothing else { return }
    try writeAtomically(rejectLines, to: rejectsPath)
    let first = all.rejects.first.map { "the first at line \($0.line): \($0.reason)" }
    throw Failure(
      .badData, nothing ? "no entry became a sample" : "too many entries rejected",
      at: builder.dataset, expected: "at most \(most) of \(total) (prepare.max_reject_share)",
      found: "\(found)" + (final ? "" : " so far") + (first.map { ", \($0)" } ?? ""),
      advice: "See \(rejectsPath).")
  }
}
