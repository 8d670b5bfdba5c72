import Failures
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Artifacts

/// Several processes on one artifact: each makes its share, one finishes, and nobody can tell from the
/// bytes.
@Suite struct ShareTests {
  static let indices = Array(0..<200)

  private func open(
    _ path: String, _ share: Share, settings: JSON = ["layers": [2]], redo: String? = nil,
    patience: Duration = .milliseconds(200)
  ) throws -> ArtifactWriter {
    try ArtifactWriter(
      directory: path, kind: .features, settings: settings, inputs: ["samples": "abc"],
      samplesPerShard: 16, redo: redo, share: share, patience: patience)
  }

  /// Writes what the share lacks, at most so many shards.
  private func write(_ writer: ArtifactWriter, most: Int = .max) throws {
    for work in writer.unfinishedShards(of: Self.indices).prefix(most) {
      try writer.writeMeasuredShard(work.shard) { append in
        for index in work.indices { try append(record(index)) }
        return "{\"shard\": \(work.shard)}"
      }
    }
  }

  /// All that is there but for what holds times.
  private func contents(_ path: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try Files.list(path) where name != Manifest.fileName && !name.hasPrefix(".") {
      files[name] = try Files.read(Files.join(path, name))
    }
    return files
  }

  static let shares: [Share] =
    [.all, .shards(0..<3), .shards(2..<9), .shards(9..<10), .shards(30..<31)]
    + (1...6).flatMap { count in (0..<count).map { .part($0, of: count) } }

  @Test func `shares overlap where a shard is in both, and names say what they are`() {
    for a in Self.shares {
      #expect(Share(name: a.name) == a)
      for b in Self.shares {
        let both = (0..<200).contains { a.contains($0) && b.contains($0) }
        #expect(a.overlaps(b) == both, "\(a.name), \(b.name)")
      }
    }
    for bad in ["", "1-of-1", "2-of-1", "-1-of-2", "3-to-3", "a-of-b", "0-of-2-", "1"] {
      #expect(Share(name: bad) == nil, "\(bad)")
    }
  }

  @Test func `the time is that of all who had a part in it`() throws {
    let folder = try TemporaryFolder()
    for number in 0..<2 {
      let share = try open(folder("a"), .part(number, of: 3))
      for work in share.unfinishedShards(of: Self.indices) {
        try share.writeShard(work.shard) { append in
          usleep(20_000)
          for index in work.indices { try append(record(index)) }
        }
      }
    }
    let rest = try open(folder("a"), .all)
    try write(rest)
    // Nine of thirteen shards are others'.
    #expect((0.18..<100).contains(rest.earlierSeconds))
    let shared = try rest.finish(wallSeconds: 5)
    #expect((5.18..<105).contains(shared.wallSeconds))

    let alone = try open(folder("b"), .all)
    try write(alone)
    alone.countEarlier(seconds: 2)
    #expect(try alone.finish(wallSeconds: 5).wallSeconds == 7)
  }

  @Test(arguments: [1, 2, 3, 13, 20])
  func `shares end with the bytes of one process`(count: Int) throws {
    let folder = try TemporaryFolder()
    let alone = try open(folder("one"), .all)
    try write(alone)
    try alone.finish(facts: ["width": 4])
    // In any order, some stopped on the way and continued.
    for number in (0..<count).reversed() {
      let share = Share.part(number, of: count)
      try write(open(folder("many"), share), most: 1)
      let again = try open(folder("many"), share)
      #expect(again.isContinuing == (number < 13))
      try write(again)
      #expect(again.unfinishedShards(of: Self.indices).isEmpty)
      #expect(failure { _ = try ArtifactReader.manifest(in: folder("many")) }?.code == .badData)
    }
    let last = try open(folder("many"), .all)
    #expect(last.isContinuing && last.unfinishedShards(of: Self.indices).isEmpty)
    #expect(last.lines() == (0..<13).map { "{\"shard\": \($0)}" })
    let manifest = try last.finish(facts: ["width": 4])
    #expect(try manifest.content == ArtifactReader.manifest(in: folder("one")).content)
    #expect(try contents(folder("one")) == contents(folder("many")))
    #expect(try ArtifactReader.verify(directory: folder("many")).isEmpty)
    #expect(try open(folder("many"), .part(0, of: count)).isComplete)
  }

  @Test func `the last one makes what no share made or what was damaged meanwhile`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try write(open(path, .part(0, of: 4)))
    try write(open(path, .shards(1..<4)))
    var bytes = try Files.read(Files.join(path, "shard-00002.lmdb"))
    bytes[9000] ^= 1
    try writeAtomically(bytes, to: Files.join(path, "shard-00002.lmdb"))
    try writeAtomically([1], to: Files.join(path, "unfinished/done-00004.json"))
    try writeAtomically([1], to: Files.join(path, "shard-00005.lmdb.0badcafe.partial"))
    let last = try open(path, .all)
    #expect(last.finishedShards == [0, 1, 3, 8, 12])
    try write(last)
    try last.finish()
    #expect(try ArtifactReader.verify(directory: path).isEmpty)
    #expect(try names(path).filter { !$0.hasSuffix(".lmdb") } == ["manifest.json"])
  }

  private func names(_ path: String) throws -> [String] {
    try Files.list(path).filter { !$0.hasPrefix(".") }
  }

  @Test func `a share that starts again leaves the shards of others alone`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    let mine = try open(path, .part(0, of: 2))
    try mine.writeShard(0) { append in
      try append(record(0))
      // Another begins and ends while a shard is half written.
      try write(open(path, .part(1, of: 2)))
      try append(record(1))
    }
    #expect(Files.exists(Files.join(path, "shard-00000.lmdb")))
    #expect(try open(path, .part(1, of: 2)).finishedShards == [1, 3, 5, 7, 9, 11])
  }

  // MARK: Who may write

  @Test func `a shard has one writer at a time`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    let first = try open(path, .part(0, of: 2))
    _ = try open(path, .part(1, of: 2))
    for share in [Share.all, .part(0, of: 2), .part(2, of: 4), .part(0, of: 3), .shards(0..<1)] {
      let refused = failure { _ = try open(path, share) }
      #expect(refused?.code == .cannotCreate, "\(share.name)")
      #expect(refused?.found?.contains("share 0-of-2") == true)
    }
    _ = try open(path, .shards(1..<2))
    try first.requireFinished()
  }

  @Test func `nobody has a share while one makes all`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    let all = try open(path, .all)
    #expect(failure { _ = try open(path, .part(0, of: 2)) }?.code == .cannotCreate)
    try write(all)
    try all.finish()
    #expect(try open(path, .part(0, of: 2)).isComplete)
  }

  @Test func `other settings wait for shares at work; then the first makes room`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    do {
      let old = try open(path, .part(0, of: 2))
      try write(old)
      let refused = failure { _ = try open(path, .part(1, of: 2), settings: ["layers": [6]]) }
      #expect(refused?.code == .cannotCreate && refused?.what.contains("other settings") == true)
    }
    let first = try open(path, .part(1, of: 2), settings: ["layers": [6]])
    #expect(first.startedOver?.contains("layers") == true && first.movedAside != nil)
    try write(first)
    let second = try open(path, .part(0, of: 2), settings: ["layers": [6]])
    #expect(second.startedOver == nil && second.finishedShards.isEmpty)
  }

  @Test func `the old settings again take a share's shards back`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try write(open(path, .part(0, of: 2)))
    try write(open(path, .part(0, of: 2), settings: ["layers": [6]]))
    #expect(try open(path, .part(0, of: 2)).finishedShards == [0, 2, 4, 6, 8, 10, 12])
    #expect(try open(path, .all).finishedShards == [0, 2, 4, 6, 8, 10, 12])
  }

  @Test func `one reason to begin anew makes room once, however many shares have it`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    let finished = try open(path, .all)
    try write(finished)
    try finished.finish()
    let reason = "the image is another one now"
    do {
      let first = try open(path, .part(0, of: 2), redo: reason)
      #expect(first.startedOver == reason)
      try write(first)
    }
    let second = try open(path, .part(1, of: 2), redo: reason)
    #expect(second.startedOver == nil)
    #expect(second.finishedShards.isEmpty)
  }

  @Test func `damaged shards of a finished artifact are mended by shares`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    let finished = try open(path, .all)
    try write(finished)
    let manifest = try finished.finish()
    for shard in ["shard-00004.lmdb", "shard-00005.lmdb"] {
      try Files.remove(Files.join(path, shard))
    }
    do {
      let share = try open(path, .part(0, of: 2))
      #expect(share.repaired != nil)
      #expect(share.unfinishedShards(of: Self.indices).map(\.shard) == [4])
      try write(share)
    }
    try write(open(path, .part(1, of: 2)))
    #expect(try open(path, .all).isComplete)
    #expect(try ArtifactReader.manifest(in: path).content == manifest.content)
  }

  // MARK: The dead

  /// What a program on another machine wrote as it came in.
  private func stranger(
    _ path: String, count: Int, share: String = "0-of-2", machine: String = "elsewhere",
    more: String = ""
  ) throws {
    try Files.makeDirectory(path)
    let text = """
      {"token": "t", "host": "n7", "machine": "\(machine)", "process": 999999, "started": 5,
       "program": "vlsi-extract", "share": "\(share)", "identity": "i", "count": \(count)\(more)}

      """
    try writeAtomically(text, to: Files.join(path, share == "all" ? ".lock" : ".lock-\(share)"))
  }

  @Test(arguments: ["0-of-2", "all"])
  func `another machine's writer that does not count on is dead`(share: String) throws {
    let folder = try TemporaryFolder()
    try stranger(folder("a"), count: 3, share: share)
    let begun = ContinuousClock.now
    _ = try open(folder("a"), .part(0, of: 2))
    #expect(begun.duration(to: .now) >= .milliseconds(200))
  }

  @Test func `another machine's writer that counts on is not`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try stranger(path, count: 3)
    let counting = Thread {
      Thread.sleep(forTimeInterval: 0.1)
      try? self.stranger(path, count: 4)
    }
    counting.start()
    let refused = failure { _ = try open(path, .part(0, of: 2), patience: .seconds(30)) }
    #expect(refused?.code == .cannotCreate && refused?.found?.contains("n7") == true)
  }

  @Test func `one that died on this machine is known at once, whoever has its number now`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    for process in [999_999, Int(getpid())] {
      do { _ = try open(path, .part(0, of: 2)) }
      let lease = Files.join(path, ".lock-0-of-2")
      let mine = try open(path, .part(0, of: 2))
      var json = try JSON(parsing: Files.read(lease), place: lease).asObject ?? [:]
      json["process"] = .int(process)
      json["started"] = .int(7)
      try writeAtomically(JSON.object(json).text(), to: lease)
      let begun = ContinuousClock.now
      _ = try open(path, .part(0, of: 2), patience: .seconds(30))
      #expect(begun.duration(to: .now) < .seconds(5))
      withExtendedLifetime(mine) {}
    }
  }

  @Test func `locks that say nothing sensible are watched like another machine's`() throws {
    for text in ["", "{", "{\"token\": \"t\", \"share\": \"0-of-2\"}", "[]"] {
      let folder = try TemporaryFolder()
      for name in [".lock", ".lock-0-of-2", ".lock-opening"] {
        _ = try folder.write(text, to: "a/\(name)")
      }
      _ = try open(folder("a"), .all)
    }
  }

  @Test func `one that was taken for dead gives nothing a name any more`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    let asleep = try open(path, .part(0, of: 2))
    try stranger(path, count: 1)
    let refused = failure { try write(asleep, most: 1) }
    #expect(refused?.code == .cannotCreate && refused?.found?.contains("n7") == true)
    #expect(!Files.exists(Files.join(path, "shard-00000.lmdb")))
    #expect(try !names(path).contains { $0.hasSuffix(".partial") })
  }

  @Test func `many that come in at once become one artifact`() throws {
    let folder = try TemporaryFolder()
    let path = folder("a")
    try write(open(path, .all, settings: ["layers": [6]]))
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 8) { number in
      do {
        try write(open(path, .part(number, of: 8)))
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    let last = try open(path, .all)
    #expect(last.unfinishedShards(of: Self.indices).isEmpty)
    try last.finish()
    #expect(try ArtifactReader.verify(directory: path).isEmpty)
    #expect(try names(path).filter { !$0.hasSuffix(".lmdb") } == ["manifest.json"])
  }
}

extension ArtifactWriter {
  /// Keeps the writer, and with it its lease, to here.
  fileprivate func requireFinished() throws { #expect(!isComplete) }
}
