import Artifacts
import Checkpoints
import Foundation
import Imaging
import TestSupport
import Testing

@Suite struct DumpTests {
  static let golden = repository.appending(path: "Tests/Goldens/model/b").path

  @Test func `summary of an artifact`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let found = try dump(folder("features"))
    #expect(found.status == 0 && found.log.isEmpty)
    for part in ["10 in 3 shards", "target.top_k", "hidden.6", "supervised position × width"] {
      #expect(found.text.contains(part), "\(part)")
    }
    let manifest = try json(try dump(folder("features"), "--format", "json"))
    #expect(manifest["kind"] == "features" && manifest["shards"]?.asArray?.count == 3)
  }

  @Test func `a record with its text`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let found = try dump(folder("targets"), "--record", "7")
    #expect(found.status == 0 && found.log.isEmpty)
    #expect(found.text.contains("layer 2 says") && found.text.contains("75%"))
    let features = try json(try dump(folder("features"), "--record", "7", "--format", "json"))
    #expect(features["metadata"]?["id"] == "scene-7")
    #expect(features["tensors"]?["hidden.2"]?["shape"] == [3, 4])
    #expect(features["tensors"]?["hidden.2"]?["statistics"]?["max"]?.asDouble == 4.5)
    let blob = try dump(folder("features"), "--record", "7", "--format", "safetensors")
    let (tensors, metadata) = try Safetensors.decode(blob.bytes, place: "blob")
    #expect(tensors == feature(7).tensors && metadata == ["id": "scene-7"])
  }

  @Test func `rows of a tensor`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let found = try json(
      try dump(
        folder("features"), "--record", "2", "--tensor", "hidden.2", "--rows", "1:3", "--format",
        "json"))
    #expect(found["values"] == [[1.5, 1.75, 2, 2.25], [2.5, 2.75, 3, 3.25]].asNumbers)
    #expect(found["shape"] == [3, 4] && found["rows"] == [1, 3])
    let text = try dump(Self.golden, "--tensor", "model.norm.weight")
    #expect(text.status == 0 && text.text.hasPrefix("model.norm.weight  BF16"))
  }

  @Test(arguments: ["hidden.2", "labels"])
  func `npy is what NumPy reads`(name: String) throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let found = try dump(
      folder("features"), "--record", "2", "--tensor", name, "--format", "npy")
    #expect(found.status == 0)
    #expect(Array(found.bytes.prefix(8)) == [0x93] + Array("NUMPY".utf8) + [1, 0])
    let length = Int(found.bytes[8]) + Int(found.bytes[9]) << 8
    #expect((10 + length) % 64 == 0)
    let header = String(decoding: found.bytes[10..<(10 + length)], as: UTF8.self)
    let tensor = try feature(2).tensor(name)
    let data = Array(found.bytes[(10 + length)...])
    if name == "labels" {
      #expect(header.contains("'<i4'") && header.contains("(3,)") && data == tensor.bytes)
    } else {
      #expect(header.contains("'<f4'") && header.contains("(3, 4)"))
      #expect(data == RawTensor(float32: try tensor.floats(), shape: [3, 4]).bytes)
    }
  }

  @Test func `the status says when what was planned will be done`() throws {
    let folder = try TemporaryFolder()
    try Files.makeDirectory(folder("run"))
    #expect(try dump(folder("run"), "--status").status == 66)
    let plan = """
      {"threads": 1, "cluster": null, "stages": [
        {"name": "extract teacher", "artifact": "features/teacher", "seconds": 100},
        {"name": "target", "artifact": "targets", "seconds": 50},
        {"name": "align", "artifact": "adapter", "seconds": 200},
        {"name": "finetune", "artifact": "model", "seconds": null}]}
      """
    try writeAtomically(plan, to: folder("run/plan.json"))
    let planned = try dump(folder("run"), "--status")
    #expect(planned.text.contains("run/adapter: not begun, takes about 3 min 20 s\n"))
    #expect(planned.text.contains("run/model: not begun\n"))
    #expect(planned.text.contains("about 5 min 50 s left, nobody is at it"))

    // Twice as slow as planned; half of the next is there, and nobody is at it.
    for (name, seconds) in [("features/teacher", 200.0), ("targets", nil)] {
      let writer = try ArtifactWriter(
        directory: folder("run/\(name)"), kind: .features, settings: [:], samplesPerShard: 5)
      writer.expect(records: 10)
      for work in writer.unfinishedShards(of: Array(0..<(seconds == nil ? 5 : 10))) {
        try writer.writeShard(work.shard) { append in
          for index in work.indices { try append(feature(index)) }
        }
      }
      if let seconds { try writer.finish(wallSeconds: seconds) }
    }
    let half = try dump(folder("run"), "--status")
    #expect(half.text.contains("run/adapter: not begun, takes about 6 min 40 s\n"))
    #expect(half.text.contains("about 7 min 30 s left, nobody is at it"), "\(half.text)")
    let list = try json(try dump(folder("run"), "--status", "--format", "json")).asArray ?? []
    #expect(list.count == 4 && list[2]["seconds_left"]?.asDouble == 400)

    // A plan that cannot be read is none.
    try writeAtomically("{", to: folder("run/plan.json"))
    let unplanned = try dump(folder("run"), "--status")
    #expect(unplanned.text.contains("5 of 10 records, 1 shards"))
  }

  @Test func `statistics by layer`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let features = try json(try dump(folder("features"), "--stats", "--format", "json"))
    #expect(features["hidden.2"]?["rows"] == 30)
    #expect(abs((features["hidden.6"]?["cosine_to_before"]?.asDouble ?? 0) + 1) < 1e-5)
    let ratio =
      (features["hidden.6"]?["norm"]?.asDouble ?? 0)
      / (features["hidden.2"]?["norm"]?.asDouble ?? 1)
    #expect(abs(ratio - 2) < 1e-5)
    let targets = try json(try dump(folder("targets"), "--stats", "--format", "json"))
    #expect(targets["entropy.6"]?["mean"]?.asDouble == 1)
    #expect(targets["probabilities.6"]?["top_1"]?.asDouble == 0.75)
    #expect(targets["probabilities.6"]?["kept"]?.asDouble == 0.875)
    #expect(try dump(Self.golden, "--stats").text.contains("model.norm.weight"))
  }

  @Test func `a verdict, with shard and record where there is damage`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    for path in [folder("features"), Self.golden] {
      let sound = try dump(path, "--verify")
      #expect(sound.status == 0 && sound.text.hasPrefix("sound: "))
    }
    let path = folder("features/shard-00001.lmdb")
    var bytes = try Files.read(path)
    let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
    let frame = try #require(
      (0..<(bytes.count - 4)).first { Array(bytes[$0..<($0 + 4)]) == magic })
    bytes[frame + 60] ^= 1
    try writeAtomically(bytes, to: path)
    let damaged = try dump(folder("features"), "--verify")
    #expect(damaged.status == 65)
    #expect(damaged.text.contains("shard-00001.lmdb, record "))
    #expect(damaged.log.hasPrefix("error: "))
    let verdict = try json(try dump(folder("features"), "--verify", "--format", "json"))
    #expect(verdict["sound"] == false && verdict["problems"]?.asArray?.count == 2)
  }

  @Test func `differences`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let same = try dump(folder("features"), "--diff", folder("features"))
    #expect(same.status == 0 && same.text.hasPrefix("equal: "))
    let writer = try ArtifactWriter(
      directory: folder("other"), kind: .features, settings: ["layers": [2]], samplesPerShard: 4)
    try writer.writeShard(0) { append in
      var changed = feature(1)
      changed.tensors["labels"] = RawTensor(int32: [300, 301, 309], shape: [3])
      try append(changed)
    }
    try writer.finish()
    let other = try dump(folder("features"), "--diff", folder("other"))
    #expect(other.status == 1)
    for part in [
      "layers [2, 6] [2]", "target.top_k 2 none", "input samples s none", "record 1, tensor labels",
      "1 of 3 values",
    ] {
      let words = other.text.split(separator: "\n").map {
        $0.split(separator: " ").joined(separator: " ")
      }
      #expect(words.contains { $0.contains(part) }, "\(part):\n\(other.text)")
    }
    #expect(try dump(folder("features"), "--diff", folder("targets")).status == 65)
    let found = try json(
      try dump(folder("features"), "--diff", folder("other"), "--format", "json"))
    #expect(found["equal"] == false)
    #expect(found["settings"]?.asArray?.first?["name"] == "input samples")
  }

  @Test func `pixels as a picture`() throws {
    let folder = try TemporaryFolder()
    let writer = try ArtifactWriter(
      directory: folder("samples"), kind: .samples, settings: [:], samplesPerShard: 4)
    let pixels = (0..<(5 * 7 * 3)).map { UInt8($0 * 2) }
    try writer.writeShard(0) { append in
      try append(
        Record(
          index: 0,
          tensors: [
            "pixels.0": RawTensor(uint8: pixels, shape: [5, 7, 3]),
            "input_ids": RawTensor(int32: [1], shape: [1]),
          ]))
    }
    try writer.finish()
    let shown = ["--record", "0", "--format", "png", "--tensor"]
    let picture = try dump(
      folder("samples"), shown[0], shown[1], shown[2], shown[3], shown[4], "pixels.0")
    let image = try RGBImage(decoding: picture.bytes, place: "x")
    #expect(image.width == 7 && image.height == 5 && image.pixels == pixels)
    let other = try dump(
      folder("samples"), shown[0], shown[1], shown[2], shown[3], shown[4], "input_ids")
    #expect(other.status == 65 && other.log.contains("no picture"))
    #expect(try dump(folder("samples"), "--format", "png").status == 64)
  }

  @Test func `a run, runs, and what sets them apart`() throws {
    let folder = try TemporaryFolder()
    for (run, rate) in [("one", 1.0), ("two", 2.0), ("three", 2.0)] {
      for (kind, section) in [(ArtifactKind.samples, "prepare"), (.adapter, "align")] {
        let place = kind == .samples ? "samples" : "adapter"
        let writer = try ArtifactWriter(
          directory: folder("runs/\(run)/\(place)"), kind: kind,
          settings: [
            section: ["context": 256, "learning_rate": .number(section == "align" ? rate : 0)]
          ])
        try writer.writeFile("x.json", Array("{}".utf8))
        try writer.finish()
      }
    }
    let run = try dump(folder("runs/one"))
    #expect(run.status == 0 && run.text.contains("adapter") && run.text.contains("samples"))
    let list = try dump(folder("runs"))
    let lines = list.text.split(separator: "\n").map {
      $0.split(separator: " ").joined(separator: " ")
    }
    #expect(lines.contains("one 2 of 2"))
    #expect(lines.contains("three 2 of 2 as one but align.learning_rate 2.0"))
    #expect(lines.contains("two 2 of 2 as three"))
    let json = try json(try dump(folder("runs"), "--format", "json"))
    #expect(json.asArray?.count == 3)
    #expect(json.asArray?[1]["but"]?["align.learning_rate"] == .number(2))
    let different = try dump(folder("runs/one"), "--diff", folder("runs/two"))
    #expect(different.status == 1 && different.text.contains("align.learning_rate"))
    #expect(!different.text.contains("context"))
    #expect(try dump(folder("runs/three"), "--diff", folder("runs/two")).status == 0)
    #expect(try dump(folder("runs/one"), "--verify").status == 64)
    #expect(try dump(folder("runs"), "--record", "1").status == 65)
    #expect(try dump(folder("runs"), "--stats").status == 65)
  }

  @Test func `a shard and a tensor file by themselves`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    let shard = try dump(folder("features/shard-00002.lmdb"))
    #expect(shard.status == 0 && shard.text.contains("2 records"))
    let file = try dump(Self.golden + "/model.safetensors")
    #expect(file.status == 0 && file.text.contains("model.layers.{0-1}.mlp.up_proj.weight"))
  }

  @Test func `what cannot be shown is said in one line`() throws {
    let folder = try TemporaryFolder()
    try writeRun(folder)
    try writeAtomically("x", to: folder("x.txt"))
    try Files.makeDirectory(folder("empty"))
    let unfinished = try ArtifactWriter(
      directory: folder("unfinished"), kind: .samples, settings: [:])
    try unfinished.writeShard(0) { _ in }
    let features = folder("features")
    let cases: [(arguments: [String], status: Int32, part: String)] = [
      ([folder("none")], 66, "does not exist"),
      ([folder("x.txt")], 65, "nothing that can be shown"),
      ([folder("empty")], 65, "neither a run, an artifact nor a checkpoint"),
      ([folder("unfinished")], 65, "unfinished, 1 of its shards"),
      ([features, "--record", "99"], 65, "no record of sample 99"),
      ([features, "--record", "1", "--tensor", "nope"], 65, "no tensor nope"),
      (
        [features, "--record", "1", "--tensor", "labels", "--rows", "2:9"], 65,
        "rows within 0:3"
      ),
      ([features, "--tensor", "labels"], 65, "Give --record N too"),
      ([Self.golden, "--record", "1"], 65, "has no records"),
      ([features, "--rows", "1:2"], 64, "--tensor"),
      ([features, "--record", "1", "--stats"], 64, "exclude each other"),
      ([features, "--format", "npy"], 64, "--tensor"),
      ([features, "--record", "1", "--tensor", "labels", "--rows", "5:2"], 64, "a:b"),
      ([], 64, "path"),
    ]
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    for item in cases {
      let found = try run(beside.appending(path: "vlsi-dump"), item.arguments)
      #expect(found.status == item.status, "\(item.arguments)")
      #expect(found.log.hasPrefix("error: ") && found.log.contains(item.part), "\(found.log)")
      #expect(found.log.split(separator: "\n").count == 1 && found.bytes.isEmpty)
    }
  }
}

extension [[Double]] {
  /// As numbers with a point, which is how floats are printed.
  var asNumbers: JSON { .array(map { .array($0.map { .number($0) }) }) }
}
