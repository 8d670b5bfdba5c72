import Failures
import Foundation
import TestSupport
import Testing

@testable import Artifacts

/// What another run has made is linked, and nothing that happens to one run happens to the other.
@Suite struct ReuseTests {
  private static let indices = Array(0..<50)
  private static let place = "features/teacher"

  private func open(
    _ path: String, earlier: String?, layers: Int = 2, share: Share = .all,
    before: () throws -> Void = {}
  ) throws -> ArtifactWriter {
    try ArtifactWriter(
      directory: path, kind: .features, settings: ["layers": [.int(layers)]],
      inputs: ["samples": "abc"], samplesPerShard: 16, earlier: earlier, share: share,
      before: before)
  }

  /// A run `one` with features, and the path of the same in run `two`.
  private func runs() throws -> (folder: TemporaryFolder, one: String, two: String) {
    let folder = try TemporaryFolder()
    let one = folder("runs/one/\(Self.place)")
    let writer = try open(one, earlier: nil)
    for work in writer.unfinishedShards(of: Self.indices) {
      try writer.writeShard(work.shard) { append in
        for index in work.indices { try append(record(index)) }
      }
    }
    try writer.finish(facts: [
      "model": .string(folder("runs/one") + "/model"), "beside": .string(folder("runs/one2/x")),
    ])
    return (folder, one, folder("runs/two/\(Self.place)"))
  }

  private func inode(_ path: String) -> UInt64 { Files.status(path).map { UInt64($0.st_ino) } ?? 0 }

  @Test(arguments: ["runs", "runs/one", "runs/one/", "./runs/../runs"])
  func `the same recipe elsewhere is linked`(root: String) throws {
    let (folder, one, two) = try runs()
    var asked = false
    let writer = try open(two, earlier: folder(root)) { asked = true }
    #expect(writer.isComplete && !asked)
    #expect(writer.linkedFrom.map { Files.isSame($0, one) } == true)
    let (a, b) = (try ArtifactReader(directory: one), try ArtifactReader(directory: two))
    #expect(a.manifest.content == b.manifest.content && a.manifest.shards == b.manifest.shards)
    for index in Self.indices { #expect(try b.record(index) == record(index)) }
    for shard in a.manifest.shards {
      #expect(inode("\(one)/\(shard.file)") == inode("\(two)/\(shard.file)"))
    }
    // Make follows the manifest's time, and `confirm` changes it.
    #expect(inode("\(one)/manifest.json") != inode("\(two)/manifest.json"))
    #expect(b.manifest.facts["model"]?.asString?.hasSuffix("runs/two/model") == true)
    #expect(b.manifest.facts["beside"] == a.manifest.facts["beside"])
    #expect(try Files.list(two).allSatisfy { !$0.hasPrefix("superseded-") })
    #expect(try open(two, earlier: nil).isComplete)
  }

  @Test func `either may be removed`() throws {
    for first in [true, false] {
      let (folder, one, two) = try runs()
      _ = try open(two, earlier: folder("runs"))
      try Files.removeTree(folder(first ? "runs/one" : "runs/two"))
      #expect(try ArtifactReader.verify(directory: first ? two : one).isEmpty)
    }
  }

  @Test func `another recipe, another kind and no run in common are not`() throws {
    let (folder, _, two) = try runs()
    #expect(try !open(two, earlier: folder("runs"), layers: 3).isComplete)
    #expect(try !open(folder("elsewhere/two/\(Self.place)"), earlier: folder("runs")).isComplete)
    #expect(try !open(folder("runs/two/features/student"), earlier: folder("runs")).isComplete)
    #expect(try !open(folder("runs/three/\(Self.place)"), earlier: folder("runs/none")).isComplete)
    #expect(try !open(folder("runs/four/\(Self.place)"), earlier: nil).isComplete)
  }

  @Test func `a damaged one is not, nor one that is not finished`() throws {
    for damage in ["shard-00001.lmdb", "manifest.json"] {
      let (folder, one, two) = try runs()
      if damage == "manifest.json" {
        try Files.remove("\(one)/\(damage)")
      } else {
        var bytes = try Files.read("\(one)/\(damage)")
        bytes[bytes.count / 2] ^= 1
        try writeAtomically(bytes, to: "\(one)/\(damage)")
      }
      #expect(try !open(two, earlier: folder("runs")).isComplete)
    }
  }

  @Test func `what is made again in one run leaves the other's files`() throws {
    let (folder, one, two) = try runs()
    _ = try open(two, earlier: folder("runs"))
    // Damage that reaches both: each is mended by itself.
    let handle = try #require(FileHandle(forUpdatingAtPath: "\(two)/shard-00001.lmdb"))
    try handle.seek(toOffset: 5000)
    handle.write(Data([1, 2, 3, 4]))
    try handle.close()
    let writer = try open(two, earlier: folder("runs"))
    #expect(!writer.isComplete && writer.repaired != nil)
    for work in writer.unfinishedShards(of: Self.indices) {
      try writer.writeShard(work.shard) { append in
        for index in work.indices { try append(record(index)) }
      }
    }
    try writer.finish()
    #expect(try ArtifactReader.verify(directory: two).isEmpty)
    #expect(try !ArtifactReader.verify(directory: one).isEmpty)
  }

  @Test func `it takes the place of what other settings made, and of what was begun`() throws {
    let (folder, _, two) = try runs()
    try writeFeatures(two, Self.indices, settings: ["layers": [9]])
    #expect(try open(two, earlier: folder("runs")).linkedFrom != nil)
    let three = folder("runs/three/\(Self.place)")
    _ = failure { try writeFeatures(three, Self.indices, settings: ["layers": [9]], stopAfter: 1) }
    #expect(try open(three, earlier: folder("runs/one")).linkedFrom != nil)
    for path in [two, three] {
      #expect(try ArtifactReader.verify(directory: path).isEmpty)
      #expect(try Files.list(path).allSatisfy { !$0.hasPrefix("superseded-") })
    }
  }

  @Test func `a link that was cut off is begun anew`() throws {
    let (folder, _, two) = try runs()
    try Files.makeDirectory("\(two)/\(Superseded.linking)")
    try writeAtomically("half", to: "\(two)/\(Superseded.linking)/shard-00000.lmdb")
    #expect(try open(two, earlier: folder("runs")).linkedFrom != nil)
    #expect(try ArtifactReader.verify(directory: two).isEmpty)
  }

  @Test func `a share finds it too, and so do the others then`() throws {
    let (folder, _, two) = try runs()
    let share = try open(two, earlier: folder("runs"), share: .part(1, of: 2))
    #expect(share.isComplete && share.linkedFrom != nil)
    #expect(try open(two, earlier: folder("runs"), share: .part(0, of: 2)).isComplete)
    #expect(try open(two, earlier: nil).isComplete)
  }

  @Test func `where there can be no link there is a copy`() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try writeAtomically(bytes, to: folder("a"))
    let elsewhere = "/dev/shm/vlsi-\(UUID().uuidString)"
    try #require(Files.isDirectory("/dev/shm"))
    defer { try? Files.remove(elsewhere) }
    #expect(Files.linkOrCopy(folder("a"), to: elsewhere))
    #expect(try Files.read(elsewhere) == bytes)
    // What is there is not written over, and what is not there has no copy.
    #expect(!Files.linkOrCopy(folder("a"), to: elsewhere))
    #expect(!Files.linkOrCopy(folder("none"), to: folder("b")))
  }
}
