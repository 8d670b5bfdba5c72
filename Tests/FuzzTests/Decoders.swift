import Artifacts
import Checkpoints
import Failures
import Foundation
import Imaging
import Kernels
import Models
import StageKit
import Tensors
import TestSupport
import Tokenization
import Training

@testable import Artifacts
@testable import Checkpoints
@testable import Evaluation
@testable import Imaging
@testable import Tokenization
@testable import vlsi_prepare

/// In memory where there is a place: a decoder that reads a file is given one for each input.
extension TemporaryFolder {
  /// A folder in it.
  func folder(_ name: String) throws -> String {
    let folder = self(name)
    if !Files.exists(folder) { try Files.makeDirectory(folder) }
    return folder
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    let descriptor = open(self(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw Failure(.ioFailed, "cannot write", at: self(name))
    }
  }
}

/// One reader of what others wrote.
struct Decoder {
  var name: String
  var form: Form
  var seeds: [Seed]
  /// What its refusals may be.
  var codes: Set<ExitCode> = [.badData]
  /// Inputs in `make test`.
  var quick: Int
  /// Puts checksums right, so that what lies behind them is reached.
  var seal: ((inout [UInt8]) -> Void)?
  /// Throws a `Failure` or a `Rejection`.
  var decode: ([UInt8]) throws -> Void

  init(
    _ name: String, _ form: Form, _ seeds: [[UInt8]], codes: Set<ExitCode> = [.badData],
    quick: Int = 2000, seal: ((inout [UInt8]) -> Void)? = nil,
    decode: @escaping ([UInt8]) throws -> Void
  ) throws {
    self.name = name
    self.form = form
    self.seeds = try seeds.map { try Seed($0, form) }
    self.codes = codes
    self.quick = quick
    self.seal = seal
    self.decode = decode
  }

  static let names: [String] = (try? all(TemporaryFolder(inMemory: true)).map(\.name)) ?? []

  static func all(_ folder: TemporaryFolder) throws -> [Decoder] {
    try artifacts(folder) + checkpoints(folder) + data(folder) + models(folder)
  }

  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  private static func file(_ name: String) throws -> [UInt8] {
    try Files.read(Files.join(root, name))
  }

  // MARK: What stages leave for each other

  private static let tensors: [(name: String, tensor: RawTensor)] = [
    ("input_ids", RawTensor(int32: [1, 2, 3, 4], shape: [4])),
    ("hidden", RawTensor([0.5, -1, 2, 0], as: .bfloat16, shape: [2, 2])),
    ("supervised", RawTensor(uint8: [0, 1, 1, 0], shape: [4])),
  ]

  private static func artifacts(_ folder: TemporaryFolder) throws -> [Decoder] {
    let record = Record(
      index: 3, tensors: Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) }),
      metadata: ["id": "a"])
    let packed = try record.encoded(level: 1)
    let blob = try packed.withBytes { try Zstandard.decompress($0, place: "a seed") { _, _ in } }
    func unpack(_ bytes: UnsafeRawBufferPointer) throws {
      try use(Record(index: 3, encoded: bytes, place: "record 3"))
    }
    func use(_ record: Record) throws {
      for tensor in record.tensors.values {
        _ = try? tensor.floats()
        _ = try? tensor.int32s()
      }
      try record.requireFinite(at: "record", advice: "")
    }
    let (manifest, journal, done, shards) = try seedsOfStore(folder)
    let identity = try JSON(parsing: journal, place: "journal")["identity"]?.asString ?? ""
    let lease = Array(
      """
      {"token": "t", "host": "n7", "machine": "elsewhere", "process": 12, "started": 5,
       "share": "0-of-2", "identity": "i", "count": 3}
      """.utf8)
    let state = try seedOfState(folder)
    let checked = Fingerprint.text("twelve bytes")
    _ = try folder.folder("checked")
    _ = try folder.folder("made/unfinished")
    try folder.write(Array("twelve bytes".utf8), to: "checked/a.lmdb")
    return [
      try Decoder("frame", .bytes, [packed.array]) {
        try $0.withUnsafeBytes(unpack)
      },
      try Decoder("record", .safetensors, [blob.array]) {
        try $0.withUnsafeBytes { try Zstandard.compress($0, level: 1) }.withBytes(unpack)
      },
      try Decoder("manifest", .json, manifest, seal: sealManifest) {
        let json = try JSON(parsing: $0, place: "manifest.json")
        let manifest = try Manifest(json, place: "manifest.json")
        _ = (manifest.records, manifest.bytes, manifest.json.text(pretty: true))
      },
      try Decoder("shard", .bytes, shards, quick: 1000) {
        try folder.write($0, to: "shard.lmdb")
        let shard = try ShardFile(path: folder("shard.lmdb"))
        for index in shard.indices.prefix(20) { _ = try? shard.record(index) }
      },
      try Decoder("journal", .json, [journal], quick: 1000) {
        try folder.write($0, to: Journal.fileName)
        _ = Journal.read(in: folder.path)?.recipe.text()
      },
      try Decoder("done", .json, [done], quick: 1000) {
        try folder.write(
          Array("{\"identity\": \"\(identity)\"}".utf8), to: "made/\(Journal.fileName)")
        try folder.write($0, to: "made/unfinished/done-00000.json")
        _ = Journal.read(in: folder("made"))?.shards[0]?.shard.json.text()
      },
      try Decoder("lease", .json, [lease], quick: 1000) {
        try folder.write($0, to: ".lock")
        let holder = Holder(folder(".lock"))
        _ = (holder?.description, holder?.lives, holder?.share.contains(3))
      },
      try Decoder("verified", .text, [Array("12-1700000000.000000001 \(checked) a.lmdb\n".utf8)]) {
        try folder.write($0, to: "checked/" + CheckedFiles.fileName)
        try CheckedFiles(directory: folder("checked")).check(
          Manifest.File(file: "a.lmdb", bytes: 12, checksum: checked))
      },
      try Decoder("state", .safetensors, [state], quick: 1000, seal: sealState) {
        try folder.write($0, to: "state.safetensors")
        var damage: Failure?
        _ = try TrainingState(directory: folder.path, fingerprint: "one").restore(optimizers()) {
          damage = $0
        }
        if let damage { throw damage }
      },
    ]
  }

  private static func seedsOfStore(
    _ folder: TemporaryFolder
  ) throws -> (manifest: [[UInt8]], journal: [UInt8], done: [UInt8], shards: [[UInt8]]) {
    let path = try folder.folder("artifact")
    var (journal, done): ([UInt8], [UInt8]) = ([], [])
    if !Files.exists(Files.join(path, Manifest.fileName)) {
      let writer = try ArtifactWriter(
        directory: path, kind: .features, settings: ["layers": [2]], inputs: ["samples": "abc"],
        samplesPerShard: 4)
      for work in writer.unfinishedShards(of: Array(0..<8)) {
        try writer.writeShard(work.shard) { append in
          for index in work.indices {
            let width = index == 5 ? 9000 : 4
            let numbers = (0..<width).map { Float($0 * 7919 % 1000) }
            try append(
              Record(index: index, tensors: ["a": RawTensor(float32: numbers, shape: [width])]))
          }
        }
      }
      journal = try Files.read(Files.join(path, Journal.fileName))
      done = try Files.read(Files.join(path, "unfinished/done-00000.json"))
      try writer.writeFile("note.json", Array("{}".utf8))
      try writer.finish()
    }
    let names = try Files.list(path).filter { $0.hasSuffix(".lmdb") }
    return (
      [try Files.read(Files.join(path, Manifest.fileName))], journal, done,
      try names.map { try Files.read(Files.join(path, $0)) }
    )
  }

  /// With the checksums that its members ask for.
  private static func sealManifest(_ bytes: inout [UInt8]) {
    guard case .object(var members) = try? JSON(parsing: bytes, place: "") else { return }
    func seal() -> JSON {
      members["checksum"] = nil
      members["checksum"] = .string(Fingerprint.text(JSON.object(members).text()))
      return .object(members)
    }
    do { _ = try Manifest(seal(), place: "") } catch let failure as Failure {
      // The digest of what is stored: the reader says it.
      if failure.expected?.hasPrefix("checksum ") == true, let found = failure.found {
        members["content"] = .string(found)
      }
    } catch {}
    bytes = Array(seal().text().utf8)
  }

  private static func optimizers() -> ParallelOptimizers {
    let parameter = Parameter("w", shape: [2, 3], values: [1, 2, 3, 4, 5, 6], trainable: true)
    return ParallelOptimizers(
      sideBySide: [[parameter]], AdamW.Settings(moments: .float32), ranks: .alone)
  }

  private static func seedOfState(_ folder: TemporaryFolder) throws -> [UInt8] {
    let path = try folder.folder("training")
    try TrainingState(directory: path, fingerprint: "one").save(
      step: 3, optimizers(), words: ["generator": "12"])
    return try Files.read(Files.join(path, "state.safetensors"))
  }

  private static func sealState(_ bytes: inout [UInt8]) {
    let mark = Array("\"checksum\":\"".utf8)
    let last = min(bytes.count - mark.count - 32, 4096)
    guard last >= 0,
      let found = (0...last).first(where: {
        bytes[$0..<($0 + mark.count)].elementsEqual(mark)
      })
    else { return }
    let place = (found + mark.count)..<(found + mark.count + 32)
    bytes.replaceSubrange(place, with: repeatElement(0x30, count: 32))
    bytes.replaceSubrange(place, with: Fingerprint.bytes(bytes).utf8)
  }

  // MARK: What a checkpoint holds

  private static func checkpoints(_ folder: TemporaryFolder) throws -> [Decoder] {
    let goldens = "Tests/Goldens/text/checkpoint/"
    let tokenizer = "data/student/tokenizer.json"
    let processor = try file("data/student/preprocessor_config.json")
    let settings = try JSON(parsing: processor, place: "a seed")
    func process() throws {
      let processor = try ImageProcessor(directory: folder("processor"))
      for side in [1, 28, 5000] {
        _ = try? processor.smartResize(height: side, width: 40)
        let fetched = RequestedSize()
        _ = try? processor.fetched(
          RGBImage(width: 2, height: 2, pixels: .init(repeating: 7, count: 12)), at: fetched)
      }
    }
    _ = try folder.folder("processor")
    _ = try folder.folder("chat")
    let templates = [ChatForm(), ChatForm(system: nil), ChatForm(system: "Be brief.")].map(
      \.template)
    func chat(_ name: String, _ bytes: [UInt8]) throws {
      try folder.write(bytes, to: "chat/" + name)
      defer { unlink(folder("chat/" + name)) }
      _ = try ChatForm(directory: folder("chat"))
    }
    return [
      try Decoder("safetensors", .safetensors, [Safetensors.encode(tensors, metadata: ["a": "b"])])
      {
        try folder.write($0, to: "model.safetensors")
        for tensor in try readSafetensorsFile(folder("model.safetensors")).tensors.values {
          _ = tensor.raw()
        }
      },
      try Decoder(
        "config", .json,
        [file("data/student/config.json"), file(goldens + "config.json")]
          + ["qwen2.5", "qwen3", "onevision"].map {
            try file("Tests/Goldens/model/\($0)/config.json")
          }
      ) {
        let json = try JSON(parsing: $0, place: "config.json")
        let config = try ModelFamilies.config(json, place: "config.json")
        _ = try config.hubJSON(over: $0)
        if config.text.layers < 100, config.encoder.depth < 100 { _ = config.tensorShapes }
      },
      try Decoder(
        "tokenizer", .json, [file(tokenizer), file(goldens + "tokenizer.json")], quick: 300
      ) {
        try folder.write($0, to: "tokenizer.json")
        let tokenizer = try Tokenizer(directory: folder.path)
        let ids = tokenizer.encode("Ein Kreis, <|im_start|> 12 e\u{301}\n")
        _ = tokenizer.decode(ids + [-1, 0, 1, 500, 545, .max, .min])
        _ = try? ChatTemplate(tokenizer: tokenizer).render(
          [Turn(role: .user, "Hi")], imageTokenCounts: [])
      },
      try Decoder("preprocessor", .json, [processor, file(goldens + "preprocessor_config.json")]) {
        unlink(folder("processor/processor_config.json"))
        try folder.write($0, to: "processor/preprocessor_config.json")
        try process()
      },
      try Decoder(
        "processor", .json, [Array(JSON.object(["image_processor": settings]).text().utf8)],
        codes: [.badData, .inputMissing]
      ) {
        unlink(folder("processor/preprocessor_config.json"))
        try folder.write($0, to: "processor/processor_config.json")
        try process()
      },
      try Decoder("jinja", .text, templates.map { Array($0.utf8) }) {
        try chat("chat_template.jinja", $0)
      },
      try Decoder(
        "chat", .json,
        templates.map { Array(JSON.object(["chat_template": .string($0)]).text().utf8) }
      ) { try chat("chat_template.json", $0) },
    ]
  }

  // MARK: What users bring

  private static func data(_ folder: TemporaryFolder) throws -> [Decoder] {
    let entries = [
      #"{"id":"a","image":"a.png","conversations":[{"from":"human","value":"<image>\nWhat?"},"#
        + #"{"from":"gpt","value":"A circle."}],"visual_labels":["red",null]}"#,
      #"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":["#
        + #"{"type":"image","image":"a.png","min_pixels":784,"max_pixels":2000},"#
        + #"{"type":"text","text":"What is it?"}]},"#
        + #"{"role":"assistant","content":[{"type":"text","text":"Red."}],"loss":true}]}"#,
      #"{"images":["a.png","b.png"],"system":"S","messages":[{"role":"user","content":"#
        + #""<image><image> two"},{"role":"assistant","content":"x","weight":1}]}"#,
    ]
    func conversation(_ bytes: [UInt8], _ index: Int = 0) throws {
      _ = try Conversation(JSON(parsing: bytes, place: "entry"), index: index, dialect: .qwen2VL)
    }
    let table = [
      "index\timage\tquestion\thint\tA\tB\tanswer\tcategory\n0\tiVBORw0KGgoAAAANSUhEUg\tWhat?\tnan"
        + "\tred\tblue\tA\tcolour\n1\t0\t\"Which \"\"one\"\"?\"\t\t1\t2\tB\tnumber\n",
      "index\timage_path\tquestion\tanswer\n7\t['a.png', \"b,c.png\"]\tWhat?\t['red', 'blue']\n",
    ]
    let preset = try ["2b", "tiny"].map { try file("pipeline/\($0).yaml") }
    let names = try Files.list(Files.join(root, "Tests/Goldens/images"))
    func image(_ kind: String, seal: ((inout [UInt8]) -> Void)? = nil) throws -> Decoder {
      let seeds = try names.filter { $0.hasSuffix("." + kind) && !$0.hasPrefix("bad-") }
        .map { try file("Tests/Goldens/images/" + $0) }
      return try Decoder(kind, .bytes, seeds, quick: 1000, seal: seal) {
        let image = try RGBImage(decoding: $0, place: "image")
        if image.width < 100, image.height < 100 { _ = try image.resized(width: 8, height: 8) }
      }
    }
    return [
      try Decoder("entry", .json, entries.map { Array($0.utf8) }) { try conversation($0) },
      try Decoder(
        "dataset", .text,
        [
          Array("[\(entries.joined(separator: ",\n"))]".utf8),
          Array(entries.joined(separator: "\n").utf8),
        ]
      ) {
        try folder.write($0, to: "data.json")
        let reader = try DatasetReader(path: folder("data.json"))
        while let entry = try reader.next() { try? conversation(entry.bytes, entry.index) }
      },
      try Decoder("benchmark", .text, table.map { Array($0.utf8) }) {
        for row in try Benchmark.parse($0, place: "benchmark.tsv") {
          _ = try? row.result.get().prompt
        }
      },
      try Decoder("preset", .text, preset, codes: [.badPreset, .inputMissing], quick: 300) {
        try folder.write($0, to: "preset.yaml")
        _ = try Preset(contentsOf: folder("preset.yaml")).settings
      },
      try Decoder(
        "inline", .text,
        ["data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==", "iVBOR w0K\nGgo="].map { Array($0.utf8) }
      ) {
        let text = String(decoding: $0, as: UTF8.self)
        if InlineImage.stands(in: text) { _ = try InlineImage.bytes(text, place: "image") }
      },
      try image("png", seal: sealPNG), try image("jpg"), try image("webp"), try image("gif"),
    ]
  }

  /// With the checksum that each chunk asks for.
  private static func sealPNG(_ bytes: inout [UInt8]) {
    var start = 8
    while start + 12 <= bytes.count {
      let length = bytes[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
      let end = start + 8 + length
      guard end + 4 <= bytes.count else { return }
      var sum = UInt32.max
      for byte in bytes[(start + 4)..<end] {
        sum ^= UInt32(byte)
        for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 0 ? 0 : 0xEDB8_8320) }
      }
      for index in 0..<4 {
        bytes[end + index] = UInt8(truncatingIfNeeded: ~sum >> (24 - 8 * UInt32(index)))
      }
      start = end + 4
    }
  }
}
