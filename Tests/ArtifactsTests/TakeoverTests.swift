import Failures
import Foundation
import TestSupport
import Testing

@testable import Artifacts

/// Nothing that was finished is lost: not by other settings, not by damage, not by a kill between.
@Suite struct TakeoverTests {
  static let indices = Array(0..<50)

  private func open(
    _ path: String, layers: JSON, seed: UInt64? = nil, execution: JSON = [:],
    discard: Bool = false, before: () throws -> Void = {}
  ) throws -> ArtifactWriter {
    try ArtifactWriter(
      directory: path, kind: .features, settings: ["layers": layers], execution: execution,
      inputs: ["samples": "abc"], seed: seed, samplesPerShard: 16, discard: discard,
      before: before)
  }

  private func names(_ path: String) throws -> [String] {
    try Files.list(path).filter { !$0.hasPrefix(".") }
  }

  private func aside(_ path: String) throws -> String {
    let names = try Files.list(path).filter { $0.hasPrefix("superseded-") }
    #expect(names.count == 1)
    return Files.join(path, names.first ?? "none")
  }

  @Test func `other settings move a finished artifact aside until the new one is finished`() throws
  {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try writeFeatures(path, Self.indices)
    let before = try ArtifactReader.manifest(in: path)
    _ = failure { try writeFeatures(path, Self.indices, settings: ["layers": [6]], stopAfter: 2) }
    let old = try ArtifactReader(directory: aside(path))
    #expect(old.manifest == before)
    for index in Self.indices { #expect(try old.record(index) == record(index)) }
    let writer = try writeFeatures(path, Self.indices, settings: ["layers": [6]])
    #expect(writer.isContinuing && writer.startedOver == nil)
    #expect(try !names(path).contains { $0.hasPrefix("superseded-") })
    #expect(try ArtifactReader.manifest(in: path).settings == ["layers": [6]])
  }

  @Test func `the old settings again take back what was moved aside, finished or not`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try writeFeatures(path, Self.indices)
    let stamp = Files.stamp(Files.join(path, "shard-00000.lmdb"))
    _ = failure { try writeFeatures(path, Self.indices, settings: ["layers": [6]], stopAfter: 2) }
    let back = try open(path, layers: [2])
    #expect(back.isComplete && Files.stamp(Files.join(path, "shard-00000.lmdb")) == stamp)
    let other = try open(path, layers: [6])
    #expect(other.isContinuing && other.finishedShards == [0, 1])
  }

  /// Wherever a kill falls between two of the moves, the next start finds both artifacts whole.
  @Test(arguments: 0..<6) func `a move that was cut off is finished`(moved: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try writeFeatures(path, Self.indices)
    let manifest = try ArtifactReader.manifest(in: path)
    let leaving = Files.join(path, "superseded-\(manifest.identity.prefix(8)).leaving")
    try Files.makeDirectory(leaving)
    for name in try names(path).filter({ !$0.hasPrefix("superseded") }).reversed().prefix(moved) {
      try Files.move(Files.join(path, name), to: Files.join(leaving, name))
    }
    try ArtifactWriter.refuseForeign(path, kind: .features)
    let back = try open(path, layers: [2])
    #expect(back.isComplete)
    #expect(try ArtifactReader.verify(directory: path).isEmpty)

    let returning = Files.join(path, "superseded-\(manifest.identity.prefix(8)).returning")
    try Files.makeDirectory(returning)
    for name in try names(path).filter({ !$0.hasPrefix("superseded") }).prefix(moved) {
      try Files.move(Files.join(path, name), to: Files.join(returning, name))
    }
    #expect(try open(path, layers: [2]).isComplete)
    #expect(try ArtifactReader.verify(directory: path).isEmpty)
  }

  @Test func `execution settings and a seed that is not used change nothing`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    #expect(try open(folder("a"), layers: [2], execution: ["tokens_per_batch": 9]).isComplete)
    #expect(try !open(folder("a"), layers: [2], seed: 5).isComplete)
    #expect(try open(folder("a"), layers: [2]).isComplete)
  }

  @Test func `a plan that refuses has touched nothing, and is not asked when all is done`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    let before = try Files.list(folder("a"))
    let refused = Failure(.badPreset, "too large")
    #expect(
      failure { _ = try open(folder("a"), layers: [6]) { throw refused } }?.code == .badPreset)
    #expect(try Files.list(folder("a")) == before)
    #expect(try open(folder("a"), layers: [2]) { throw refused }.isComplete)
    #expect(failure { _ = try open(folder("new"), layers: [2]) { throw refused } } != nil)
    #expect(!Files.exists(folder("new")))
  }

  @Test func `redo removes what is there`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    let writer = try open(folder("a"), layers: [2], discard: true)
    #expect(writer.finishedShards.isEmpty && writer.movedAside == nil)
    #expect(try names(folder("a")) == ["unfinished.json"])
  }

  // MARK: Repair

  enum Damage: String, CaseIterable { case deleted, flipped, cut }

  @Test(arguments: Damage.allCases)
  func `a damaged shard is made again and nothing else`(damage: Damage) throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try writeFeatures(path, Self.indices)
    let sound = try Files.read(Files.join(path, "shard-00002.lmdb"))
    let stamps = try names(path).map { Files.stamp(Files.join(path, $0)) }
    let shard = Files.join(path, "shard-00002.lmdb")
    switch damage {
    case .deleted: try Files.remove(shard)
    case .flipped:
      try writeAtomically(sound.prefix(9000) + [sound[9000] ^ 1] + sound.dropFirst(9001), to: shard)
    case .cut: try writeAtomically(Array(sound.dropLast(4096)), to: shard)
    }
    #expect(try !ArtifactReader.verify(directory: path).isEmpty)
    let writer = try writeFeatures(path, Self.indices)
    #expect(writer.repaired != nil && !writer.isComplete && writer.startedOver == nil)
    #expect(writer.movedAside == nil)
    #expect(try Files.read(shard) == sound)
    let after = try names(path).map { Files.stamp(Files.join(path, $0)) }
    #expect(zip(stamps, after).count { $0 != $1 } == 1)
    #expect(try ArtifactReader.verify(directory: path).isEmpty)
    #expect(try writeFeatures(path, Self.indices).isComplete)
  }

  @Test func `a repair that is stopped leaves a repair`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    for number in 0..<3 { try Files.remove(folder("a/shard-0000\(number).lmdb")) }
    _ = failure { try writeFeatures(folder("a"), Self.indices, stopAfter: 1) }
    let writer = try open(folder("a"), layers: [2])
    #expect(writer.repaired != nil && writer.finishedShards == [0, 3])
  }

  @Test func `a damaged file is noticed before it is used`() throws {
    let folder = try TemporaryFolder()
    do {
      let writer = try ArtifactWriter(directory: folder("v"), kind: .adapter, settings: [:])
      try writer.writeFile("adapter_config.json", Array("{\"lora_alpha\": 16}".utf8))
      try writeAtomically("{}\n", to: writer.path("metrics.jsonl"))
      try writer.finish()
    }
    let reader = try ArtifactReader(directory: folder("v"))
    _ = try reader.path("adapter_config.json")
    #expect(reader.manifest.logs.map(\.file) == ["metrics.jsonl"])
    try writeAtomically("{\"lora_alpha\": 12}", to: folder("v/adapter_config.json"))
    #expect(failure { _ = try reader.path("adapter_config.json") }?.code == .badData)
    #expect(failure { _ = try reader.file("adapter_config.json") }?.code == .badData)
    let writer = try ArtifactWriter(directory: folder("v"), kind: .adapter, settings: [:])
    #expect(writer.startedOver == "what was there is damaged")
    try writeAtomically("[]\n", to: folder("v/metrics.jsonl"))
  }

  /// Notes on what was compared spare the second reading, and no change escapes them.
  @Test func `a file is read again only when it changed`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    let notes = String(decoding: try Files.read(folder("a/.verified")), as: UTF8.self)
    #expect(notes.split(separator: "\n").count == 4)
    try Files.remove(folder("a/.verified"))
    let reader = try ArtifactReader(directory: folder("a"))
    for index in Self.indices { _ = try reader.record(index) }
    #expect(String(decoding: try Files.read(folder("a/.verified")), as: UTF8.self) == notes)
    try writeAtomically("nonsense\n\u{0}", to: folder("a/.verified"))
    _ = try ArtifactReader(directory: folder("a")).record(3)
  }

  @Test func `a shard's line of metrics comes back with the shard`() throws {
    let folder = try TemporaryFolder()
    func open() throws -> ArtifactWriter {
      try ArtifactWriter(
        directory: folder("a"), kind: .features, settings: [:], samplesPerShard: 16)
    }
    do {
      let writer = try open()
      for number in [1, 0] {
        try writer.writeMeasuredShard(number) { append in
          try append(record(number * 16))
          return "{\"shard\": \(number)}"
        }
      }
    }
    #expect(try open().lines() == ["{\"shard\": 0}", "{\"shard\": 1}"])
    #expect(try open().lines(of: [1]) == ["{\"shard\": 1}"])
  }
}
