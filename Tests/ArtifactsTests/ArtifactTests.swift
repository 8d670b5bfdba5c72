import Failures
import Foundation
import TestSupport
import Testing

@testable import Artifacts

@Suite struct ArtifactTests {
  static let indices = Array(0..<50) + [77, 200, 201]

  @Test func `what is written is read`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    let reader = try ArtifactReader(directory: folder("a"), kind: .features)
    #expect(reader.indices == Self.indices)
    for index in Self.indices { #expect(try reader.record(index) == record(index)) }
    #expect(reader.manifest.shards.count == 6)
    #expect(
      reader.manifest.tensors.map(\.name) == ["hidden.2", "hidden.last", "labels", "positions"])
    #expect(reader.manifest.tensors[0].axes == ["supervised position", "width"])
    #expect(reader.contains(77) && !reader.contains(78))
    #expect(
      try Files.list(folder("a")).filter { !$0.hasSuffix(".lmdb") } == [
        ".verified", "manifest.json",
      ])
    #expect(try ArtifactReader.verify(directory: folder("a")).isEmpty)
  }

  @Test func `two writes give equal bytes`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    try writeFeatures(folder("b"), Self.indices)
    try expectEqualShards(folder("a"), folder("b"))
  }

  func expectEqualShards(_ a: String, _ b: String) throws {
    let (x, y) = (try ArtifactReader.manifest(in: a), try ArtifactReader.manifest(in: b))
    #expect(x.content == y.content)
    #expect(x.shards == y.shards && x.tensors == y.tensors)
    for shard in x.shards {
      #expect(try Files.read(Files.join(a, shard.file)) == Files.read(Files.join(b, shard.file)))
    }
  }

  /// An interrupted run, continued, ends with the bytes of one that was not.
  @Test(arguments: [0, 1, 3, 5])
  func `a run that stops is continued`(stopAfter: Int) throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("whole"), Self.indices)
    let stopped = failure { try writeFeatures(folder("a"), Self.indices, stopAfter: stopAfter) }
    #expect(stopped?.code == .interrupted)
    #expect(!Files.exists(folder("a/manifest.json")))
    let unread = failure { _ = try ArtifactReader(directory: folder("a")) }
    #expect(unread?.code == .badData)
    #expect(unread?.what.contains("unfinished") == true)
    // What a kill in the middle of a shard leaves.
    try writeAtomically([1, 2, 3], to: folder("a/shard-00004.lmdb.partial"))
    let before = try Files.list(folder("a")).filter { $0.hasSuffix(".lmdb") }
      .map { Files.stamp(folder("a/" + $0)) }
    let writer = try writeFeatures(folder("a"), Self.indices)
    #expect(writer.startedOver == nil)
    let after = try Files.list(folder("a")).filter { $0.hasSuffix(".lmdb") }
      .map { Files.stamp(folder("a/" + $0)) }
    #expect(Array(after.prefix(before.count)) == before)
    try expectEqualShards(folder("whole"), folder("a"))
    #expect(try Files.list(folder("whole")) == Files.list(folder("a")))
  }

  @Test func `what a killed process leaves is continued`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("whole"), Self.indices)
    #expect(leaveAsKilled(folder("a")))
    try writeFeatures(folder("a"), Self.indices)
    try expectEqualShards(folder("whole"), folder("a"))
    #expect(try ArtifactReader.verify(directory: folder("a")).isEmpty)
  }

  /// Leaves the folder as SIGKILL in the middle of the fourth shard would: finished shards, the
  /// journal and partial files.
  func leaveAsKilled(_ path: String) -> Bool {
    _ = failure { try writeFeatures(path, Self.indices, stopAfter: 3) }
    let partial = [UInt8](repeating: 7, count: 9000)
    let made = ["shard-00003.lmdb.partial", "unfinished.json.partial"].map {
      FileManager.default.createFile(atPath: Files.join(path, $0), contents: Data(partial))
    }
    return made.allSatisfy { $0 }
  }

  @Test func `other settings start over, the same have nothing to do`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    let again = try writeFeatures(folder("a"), Self.indices)
    #expect(again.isComplete && again.startedOver == nil)
    _ = failure {
      try writeFeatures(folder("a"), [0, 1, 40], settings: ["layers": [6]], stopAfter: 1)
    }
    #expect(!Files.exists(folder("a/manifest.json")))
    let other = try writeFeatures(folder("a"), Self.indices, settings: ["layers": [10]])
    #expect(
      other.startedOver == "what was there had other settings or inputs (layers [6], now [10])")
    let reader = try ArtifactReader(directory: folder("a"))
    #expect(reader.manifest.settings == ["layers": [10]] && reader.count == Self.indices.count)
  }

  @Test func `a damaged shard is not continued`() throws {
    let folder = try TemporaryFolder()
    _ = failure { try writeFeatures(folder("a"), Self.indices, stopAfter: 3) }
    try flip(folder("a/shard-00001.lmdb"), at: 5000)
    let writer = try ArtifactWriter(
      directory: folder("a"), kind: .features, settings: ["layers": [2]],
      inputs: ["samples": "abc"], samplesPerShard: 16)
    #expect(writer.finishedShards == [0, 2])
    #expect(writer.isContinuing)
  }

  func flip(_ path: String, at offset: Int) throws {
    var bytes = try Files.read(path)
    bytes[offset] ^= 0x10
    try writeAtomically(bytes, to: path)
  }

  @Test func `a damaged byte is found and has the name of shard and record`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    let path = folder("a/shard-00001.lmdb")
    let entry = try #require(try LMDBReader.entries(of: path).first { $0.key == LMDB.key(20) })
    try flip(path, at: entry.offset + entry.count / 2)
    let problems = try ArtifactReader.verify(directory: folder("a"))
    #expect(problems.count == 2)
    #expect(problems.allSatisfy { $0.place?.contains("shard-00001.lmdb") == true })
    #expect(problems.last?.place?.hasSuffix("shard-00001.lmdb, record 20") == true)
    let refused = failure { _ = try ArtifactReader(directory: folder("a")).record(21) }
    #expect(refused?.code == .badData && refused?.place?.hasSuffix("shard-00001.lmdb") == true)
    let reader = try ArtifactReader(directory: folder("a"), checking: false)
    let found = failure { _ = try reader.record(20) }
    #expect(found?.code == .badData && found?.place == problems.last?.place)
    #expect(try reader.record(21) == record(21))
  }

  /// Any byte of a shard, wherever it lies, is covered.
  @Test func `every flipped byte is found`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), [0, 1, 2])
    let path = folder("a/shard-00000.lmdb")
    let sound = try Files.read(path)
    for offset in stride(from: 0, to: sound.count, by: 97) {
      var bytes = sound
      bytes[offset] ^= 1
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      #expect(try !ArtifactReader.verify(directory: folder("a")).isEmpty, "byte \(offset)")
    }
  }

  @Test func `bad artifacts are refused with the right code`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), Self.indices)
    #expect(failure { _ = try ArtifactReader(directory: folder("none")) }?.code == .inputMissing)
    let kind = failure { _ = try ArtifactReader(directory: folder("a"), kind: .samples) }
    #expect(kind?.code == .badData && kind?.expected == "samples" && kind?.found == "features")
    #expect(failure { _ = try ArtifactReader(directory: folder("a")).record(60) }?.code == .badData)

    let manifest = try Files.read(folder("a/manifest.json"))
    let text = String(decoding: manifest, as: UTF8.self)
    for (change, to) in [
      ("\"kind\": \"features\"", "\"kind\": \"sausages\""), ("\"layers\": [2]", "\"layers\": [3]"),
      ("\"format_version\": 2", "\"format_version\": 9"), ("shard-00001.lmdb", "../x/shard.lmdb"),
      ("\"records\": 16", "\"records\": -1"), ("{", "["), ("\"first\": 0", "\"first\": 1"),
      ("\"threads\": 1", "\"threads\": 2"), ("\"facts\": {", "\"facts\": {\"temperature\": 2"),
    ] {
      #expect(text.contains(change))
      try writeAtomically(
        text.replacingOccurrences(of: change, with: to), to: folder("a/manifest.json"))
      #expect(failure { _ = try ArtifactReader(directory: folder("a")) }?.code == .badData)
    }
    try writeAtomically(manifest, to: folder("a/manifest.json"))

    var shard = try Files.read(folder("a/shard-00002.lmdb"))
    shard.removeLast(4096)
    try writeAtomically(shard, to: folder("a/shard-00002.lmdb"))
    let cut = failure { _ = try ArtifactReader(directory: folder("a")) }
    #expect(cut?.code == .badData && cut?.place?.hasSuffix("shard-00002.lmdb") == true)
    try Files.remove(folder("a/shard-00002.lmdb"))
    #expect(failure { _ = try ArtifactReader(directory: folder("a")) }?.code == .badData)
    #expect(try ArtifactReader.verify(directory: folder("a")).first?.what == "missing")
  }

  @Test func `inputs that do not fit are named, both of them`() throws {
    let folder = try TemporaryFolder()
    try writeFeatures(folder("a"), [0])
    let reader = try ArtifactReader(directory: folder("a"))
    try reader.requireInput("samples", "abc", from: "runs/x/samples")
    let found = failure { try reader.requireInput("samples", "xyz", from: "runs/x/samples") }
    #expect(found?.code == .badData && found?.expected == "xyz" && found?.found == "abc")
    #expect(found?.what.contains("runs/x/samples") == true)
  }

  @Test func `one writer at a time, and none over foreign files`() throws {
    let folder = try TemporaryFolder()
    func open(_ name: String, _ kind: ArtifactKind = .features) throws -> ArtifactWriter {
      try ArtifactWriter(directory: folder(name), kind: kind, settings: [:])
    }
    do {
      let first = try open("a")
      let second = failure { _ = try open("a") }
      #expect(second?.code == .cannotCreate && second?.what.contains("another program") == true)
      try first.finish()
    }
    _ = try open("a")
    #expect(failure { _ = try open("a", .samples) }?.code == .cannotCreate)

    try Files.makeDirectory(folder("model"))
    try writeAtomically("{}", to: folder("model/config.json"))
    let foreign = failure { _ = try open("model", .model) }
    #expect(foreign?.code == .cannotCreate && foreign?.found == "config.json")
    #expect(try Files.list(folder("model")) == ["config.json"])

    try writeAtomically("x", to: folder("file"))
    #expect(failure { _ = try open("file") }?.code == .cannotCreate)
    #expect(failure { _ = try open("file/below") }?.code == .cannotCreate)
  }

  @Test func `files and scratch space`() throws {
    let folder = try TemporaryFolder()
    func open(_ settings: JSON) throws -> ArtifactWriter {
      try ArtifactWriter(directory: folder("v"), kind: .verbalizers, settings: settings)
    }
    do {
      let writer = try open(["steps": 1])
      try writeAtomically("state", to: Files.join(writer.scratchDirectory(), "step-1"))
    }
    do {
      let writer = try open(["steps": 1])
      #expect(try Files.list(writer.scratchDirectory()) == ["step-1"])
      #expect(writer.isContinuing)
    }
    let writer = try open(["steps": 2])
    #expect(try Files.list(writer.scratchDirectory()).isEmpty)
    try writer.writeFile("verbalizers.safetensors", [1, 2, 3])
    try writer.finish(facts: ["layers": [2, 6]])
    let reader = try ArtifactReader(directory: folder("v"), kind: .verbalizers)
    #expect(try reader.file("verbalizers.safetensors") == [1, 2, 3])
    #expect(reader.manifest.facts["layers"] == [2, 6])
    #expect(
      try Files.list(folder("v")) == [".verified", "manifest.json", "verbalizers.safetensors"])
    try writeAtomically([1, 2, 4], to: folder("v/verbalizers.safetensors"))
    #expect(failure { _ = try reader.file("verbalizers.safetensors") }?.code == .badData)
    #expect(try ArtifactReader.verify(directory: folder("v")).count == 1)
  }

  @Test func `a shard whose body fails leaves nothing`() throws {
    let folder = try TemporaryFolder()
    let writer = try ArtifactWriter(
      directory: folder("a"), kind: .features, settings: [:], samplesPerShard: 8)
    _ = failure {
      try writer.writeShard(0) { append in
        try append(record(1))
        throw Failure(.ioFailed, "disk full")
      }
    }
    #expect(failure { try writer.writeShard(0) { try $0(record(9)) } }?.code == .software)
    #expect(
      try Files.list(folder("a")).filter { $0.hasPrefix("shard") }.isEmpty)
    #expect(writer.finishedShards.isEmpty)
  }

  /// An empty shard is a shard: all its samples may have been rejected.
  @Test func `no records`() throws {
    let folder = try TemporaryFolder()
    let writer = try ArtifactWriter(directory: folder("a"), kind: .samples, settings: [:])
    try writer.writeShard(0) { _ in }
    try writer.finish()
    #expect(try ArtifactReader(directory: folder("a")).indices.isEmpty)
    #expect(try ArtifactReader.verify(directory: folder("a")).isEmpty)
  }
}
