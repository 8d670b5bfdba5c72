import Artifacts
import Foundation
import Imaging
import TestSupport
import Testing
import Tokenization

@testable import vlsi_prepare

/// A data set of entries around the golden images.
private func dataset(_ entries: [String]) -> String {
  "[\n" + entries.joined(separator: ",\n") + "\n]\n"
}

private func entry(
  _ id: String, image: String? = "rgb.png", _ question: String = "<image>\\nWhat?",
  _ answer: String = "A red circle.", more: String = ""
) -> String {
  let picture = image.map { "\"image\": \"images/\($0)\", " } ?? ""
  return "{\"id\": \"\(id)\", \(picture)\"conversations\": [{\"from\": \"human\", \"value\": "
    + "\"\(question)\"}, {\"from\": \"gpt\", \"value\": \"\(answer)\"}]\(more)}"
}

@Suite struct PrepareTests {
  let tokenizer: Tokenizer

  init() throws {
    tokenizer = try Tokenizer(directory: Program.goldens + "/checkpoint")
  }

  @Test("A record holds ids, targets, grid and resized pixels of its entry, by the entry's index")
  func records() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    try folder.write(
      dataset([entry("a"), entry("b", image: "nothing.png"), entry("c", image: "exif6.jpg")]),
      to: "data.json")
    let run = try Program.prepare(folder.path, preset: "prepare:\n  max_reject_share: 0.5\n")
    try #require(run.code == 0, "\(run.errors)")
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    #expect(reader.indices == [0, 2])
    let processor = try ImageProcessor(directory: Program.goldens + "/checkpoint")
    for (index, file) in [(0, "rgb.png"), (2, "exif6.jpg")] {
      let record = try reader.record(index)
      let (image, grid) = try processor.prepared(
        try RGBImage(contentsOf: Program.images + "/" + file), isAlone: true)
      let pixels = try record.tensor("pixels.0")
      #expect(pixels.shape == [image.height, image.width, 3])
      #expect(pixels.bytes == image.pixels)
      #expect(
        try record.tensor("image_grid").int32s()
          == [grid.time, grid.height, grid.width].map { Int32($0) })
      let expected = try ChatTemplate(tokenizer: tokenizer).render(
        [
          Turn(role: .user, content: [.image, .text("What?")]),
          Turn(role: .assistant, "A red circle."),
        ], imageTokenCounts: [grid.patches / (processor.mergeSize * processor.mergeSize)])
      #expect(try record.tensor("input_ids").int32s() == expected.ids)
      #expect(try record.tensor("supervised").bytes == expected.supervised)
      #expect(record.tensors["segments"] == nil && record.tensors["labels"] == nil)
    }
    let facts = reader.manifest.facts
    #expect(facts["samples"] == 2 && facts["rejects"] == 1 && facts["images"] == 2)
    #expect(facts["tokenizer"] == .string(tokenizer.fingerprint))
    #expect(facts["image_processor"] == .string(processor.fingerprint))
    let supervised = try [0, 2].reduce(0) {
      $0 + (try reader.record($1).tensor("supervised").bytes).count { $0 == 1 }
    }
    #expect(facts["supervised_tokens"] == .int(supervised))
  }

  @Test("Every bad entry goes to rejects.jsonl with index, id, line and reason; the rest goes on")
  func rejectsAreListed() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let bad: [(entry: String, reason: String)] = [
      (entry("gone", image: "nothing.png"), "No such file"),
      (entry("cut", image: "bad-cut.jpg"), "damaged"),
      (entry("text", image: "bad-text.png"), "not an image"),
      (entry("empty", image: "bad-empty.png"), "an empty file"),
      (entry("bomb", image: "bad-huge.png"), "out of range"),
      (entry("silent", "<image>", ""), "the answer is empty"),
      (
        "{\"id\": \"role\", \"conversations\": [{\"from\": \"robot\", \"value\": \"x\"}]}",
        "unknown role \"robot\""
      ),
      (entry("long", String(repeating: "word ", count: 300)), "the context holds 200"),
      (entry("forged", "hi <|im_end|>"), "control token"),
      (entry("fetched", image: nil, more: ", \"image\": \"https://a.b/c.png\""), "not fetched"),
      (entry("places", "<image><image>"), "2 places for 1 image"),
      ("17", "expected an object"),
      ("{\"broken\": ", "invalid JSON"),
    ]
    let lines = bad.map(\.entry) + [entry("good"), entry("text only", image: nil, "Two?", "2")]
    try folder.write(lines.joined(separator: "\n"), to: "data.jsonl")
    let run = try Program.prepare(
      folder.path, dataset: "data.jsonl",
      preset: "prepare:\n  max_reject_share: 0.9\n  context: 200\n")
    try #require(run.code == 0, "\(run.errors)")
    #expect(run.errors.contains("\(bad.count) of \(lines.count) entries rejected"))
    let found = try rejects(folder.path + "/out")
    #expect(found.map { $0["index"]?.asInt } == bad.indices.map { $0 })
    #expect(found.map { $0["line"]?.asInt } == bad.indices.map { $0 + 1 })
    #expect(found[0]["id"] == "gone")
    for (reject, expected) in zip(found, bad) {
      let reason = reject["reason"]?.asString ?? ""
      #expect(reason.contains(expected.reason), "\(reason)")
    }
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    #expect(reader.indices == [bad.count, bad.count + 1])
  }

  @Test("More rejects than the preset bears: 65, the list is left, nothing that looks finished")
  func tooManyRejects() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let entries = (0..<8).map { entry("\($0)", image: $0 % 2 == 0 ? "rgb.png" : "nothing.png") }
    try folder.write(dataset(entries), to: "data.json")
    let preset = "prepare:\n  max_reject_share: 0.25\n  samples_per_shard: 2\n"
    let run = try Program.prepare(folder.path, preset: preset, more: ["--threads", "1"])
    #expect(run.code == 65)
    #expect(run.errors.contains("at most 2 of 8") && run.errors.contains("rejects.jsonl"))
    #expect(try rejects(folder.path + "/out").count >= 3)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/out/manifest.json"))
    // The images are put in place: the same command succeeds, shards with rejects made anew.
    try FileManager.default.copyItem(
      atPath: folder.path + "/images/grey.png", toPath: folder.path + "/images/nothing.png")
    let second = try Program.prepare(folder.path, preset: preset)
    #expect(second.code == 0, "\(second.errors)")
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    #expect(reader.indices == Array(0..<8))
    #expect(try rejects(folder.path + "/out").isEmpty)
  }

  @Test("Nothing but rejects is an error, 65, even where all rejects are borne")
  func onlyRejects() throws {
    let folder = try TemporaryFolder()
    try folder.write(dataset([entry("a")]), to: "data.json")
    let run = try Program.prepare(folder.path, preset: "prepare:\n  max_reject_share: 1\n")
    #expect(run.code == 65)
    #expect(run.errors.contains("no entry became a sample"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/out/manifest.json"))
  }

  @Test("An entry of an array that is not JSON is rejected by itself, with the line of the file")
  func brokenEntry() throws {
    let folder = try TemporaryFolder()
    let broken = ["{\"id\":\n\n 3,, }", "[\"a\" 1]", "{'a': 1}", "nul", "{\"id\": \"\\x\"}"]
    try folder.write(
      dataset([entry("a", image: nil, "x")] + broken + [entry("b", image: nil, "y")]),
      to: "data.json")
    let run = try Program.prepare(folder.path, preset: "prepare:\n  max_reject_share: 0.9\n")
    try #require(run.code == 0, "\(run.errors)")
    let found = try rejects(folder.path + "/out")
    #expect(found.map { $0["index"]?.asInt } == [1, 2, 3, 4, 5])
    #expect(found.map { $0["line"]?.asInt } == [3, 6, 7, 8, 9])
    let lines = [5, 6, 7, 8, 9]
    for (reject, line) in zip(found, lines) {
      let reason = reject["reason"]?.asString ?? ""
      #expect(reason.contains("data.json, line \(line): invalid JSON"), "\(reason)")
    }
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    #expect(reader.indices == [0, 6])
  }

  @Test("An array that breaks off or lacks a comma: 65 and the line of the file")
  func brokenArray() throws {
    let folder = try TemporaryFolder()
    for (text, line) in [
      ("[\n{\"a\": 1}\n{\"b\": 2}]", "line 3"), ("[\n{\"a\": [1, 2}\n", "line 2"),
    ] {
      try folder.write(text, to: "data.json")
      let run = try Program.prepare(folder.path)
      #expect(run.code == 65)
      #expect(run.errors.contains("data.json, \(line): "), "\(run.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder.path + "/out/manifest.json"))
    }
  }

  @Test("A sample longer than the context is cut behind its images where the preset says cut")
  func cutting() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let long = String(repeating: "circle ", count: 100)
    try folder.write(
      dataset([entry("answer", "<image>\\nWhat?", long), entry("question", "<image>\\n" + long)]),
      to: "data.json")
    let run = try Program.prepare(
      folder.path,
      preset: "prepare:\n  context: 96\n  too_long: cut\n  max_reject_share: 0.5\n")
    try #require(run.code == 0, "\(run.errors)")
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    // The second would keep no answer.
    #expect(reader.indices == [0])
    let record = try reader.record(0)
    #expect(try record.tensor("input_ids").count == 96)
    #expect(try record.tensor("supervised").bytes.contains(1))
    #expect(try rejects(folder.path + "/out").first?["reason"]?.asString?.contains("96") == true)
  }

  @Test("Independent questions get segments; those beyond the context are cut whole")
  func independentQuestions() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let turns = (1...6).map {
      "{\"from\": \"human\", \"value\": \"Question \($0)?\"}, {\"from\": \"gpt\", \"value\": \"\($0)\"}"
    }.joined(separator: ", ")
    try folder.write(
      dataset(["{\"image\": \"images/rgb.png\", \"conversations\": [\(turns)]}"]), to: "data.json")
    let run = try Program.prepare(
      folder.path, preset: "prepare:\n  questions: independent\n  too_long: cut\n  context: 140\n")
    try #require(run.code == 0, "\(run.errors)")
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    let record = try reader.record(0)
    let segments = try record.tensor("segments").int32s()
    let ids = try record.tensor("input_ids").int32s()
    #expect(segments.count == ids.count && ids.count <= 140)
    let last = try #require(segments.last)
    #expect(last >= 2 && last < 6)
    for question in 1...last {
      let own = zip(segments, ids).filter { $0.0 == question }.map(\.1)
      #expect(
        tokenizer.decode(own)
          == "Question \(question)?<|im_end|>\n<|im_start|>assistant\n\(question)<|im_end|>")
    }
  }

  @Test("Visual labels stand at the visual tokens of the first image, -100 elsewhere")
  func visualLabels() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let question = "\"conversations\": [{\"from\": \"human\", \"value\": \"Where?\\n<image>\"}]"
    func labelled(_ labels: String) -> String {
      "{\"image\": \"images/rgb.png\", \(question), \"visual_labels\": \(labels)}"
    }
    let preset = "prepare:\n  questions: independent\n  min_pixels: 1024\n  max_reject_share: 0.9\n"
    try folder.write(
      dataset([
        labelled("[\"a\", \"b\", null, \"c\", \"a\", \"b\"]"), labelled("[\"a\", \"b\", \"c\"]"),
        labelled("[\"a\", \"b\", \"c\", \"a\", \"b\", \"not one token\"]"),
        "{\(question.replacingOccurrences(of: "\\n<image>", with: "")), \"visual_labels\": [\"a\"]}",
      ]), to: "data.json")
    let run = try Program.prepare(folder.path, preset: preset)
    try #require(run.code == 0, "\(run.errors)")
    let record = try ArtifactReader(directory: folder.path + "/out", kind: .samples).record(0)
    #expect(record.tensors["segments"] == nil)
    let ids = try record.tensor("input_ids").int32s()
    let pad = try #require(tokenizer.id(ofToken: "<|image_pad|>"))
    let labels = try record.tensor("labels").int32s()
    let words = ["a", "b", "", "c", "a", "b"].map { tokenizer.encode($0).first ?? -100 }
    #expect(zip(ids, labels).filter { $0.0 == pad }.map(\.1) == words)
    #expect(zip(ids, labels).allSatisfy { $0.0 == pad || $0.1 == -100 })
    let reasons = try rejects(folder.path + "/out").compactMap { $0["reason"]?.asString }
    #expect(reasons.count == 3)
    #expect(reasons[0].contains("3 visual labels for 6 visual tokens"))
    #expect(reasons[1].contains("expected one"))
    #expect(reasons[2].contains("without an image"))
  }

  @Test("Interrupted and continued, or on other threads: the same bytes")
  func sameBytes() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let images = ["rgb.png", "nothing.png", "rgb.jpg", "lossy.webp", "grey16.png", "palette.png"]
    try folder.write(
      dataset(
        (0..<600).map { entry("\($0)", image: images[$0 % 6], "Item \($0)?", "It is \($0)") }),
      to: "data.json")
    let preset = "prepare:\n  max_reject_share: 0.2\n  samples_per_shard: 50\n"
    let whole = try Program.prepare(
      folder.path, preset: preset, output: folder.path + "/whole", more: ["--threads", "1"])
    try #require(whole.code == 0, "\(whole.errors)")
    let expected = try content(folder.path + "/whole")
    #expect(expected.count == 13)

    let process = Process()
    process.executableURL = Program.executable
    process.arguments = [
      "--dataset", folder.path + "/data.json", "--model", Program.goldens + "/checkpoint",
      "--output", folder.path + "/out", "--preset", folder.path + "/preset.yaml", "--quiet",
    ]
    try process.run()
    // Stopped once a shard is there, wherever it is by then.
    for _ in 0..<2000 where process.isRunning {
      if FileManager.default.fileExists(atPath: folder.path + "/out/shard-00001.lmdb") { break }
      usleep(2000)
    }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 75 || process.terminationStatus == 0)
    let again = try Program.prepare(folder.path, preset: preset, more: ["--threads", "3"])
    #expect(again.code == 0, "\(again.errors)")
    #expect(try content(folder.path + "/out") == expected)
    let manifests = try ["whole", "out"].map {
      try ArtifactReader.manifest(in: folder.path + "/" + $0)
    }
    #expect(manifests[0].content == manifests[1].content)
    #expect(manifests[0].lasting == manifests[1].lasting)
    let third = try Program.prepare(folder.path, preset: preset)
    #expect(third.code == 0 && third.errors.contains("nothing to do"))
  }

  @Test("Another picture under the same name is noticed, a copy of the same one is not")
  func changedImages() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    try folder.write(
      dataset([entry("a"), entry("b", image: "grey.png"), entry("c", image: "later.png")]),
      to: "data.json")
    func prepare() throws -> String {
      let run = try Program.prepare(folder.path, preset: "prepare:\n  max_reject_share: 0.5\n")
      #expect(run.code == 0, "\(run.errors)")
      return run.errors
    }
    func replace(_ name: String, by other: String) throws {
      let bytes = try Files.read(Program.images + "/" + other)
      try Data(bytes).write(to: URL(fileURLWithPath: folder("images/" + name)))
    }
    func samples() throws -> [Int] {
      try ArtifactReader(directory: folder("out"), kind: .samples).indices
    }
    _ = try prepare()
    #expect(try samples() == [0, 1])
    try replace("rgb.png", by: "rgb.png")
    #expect(try prepare().contains("nothing to do"))
    // Of the same size, too: the bytes decide.
    let before = try content(folder("out"))
    try replace("grey.png", by: "palette.png")
    #expect(try prepare().contains("the image images/grey.png is another one now"))
    #expect(try content(folder("out")) != before)
    #expect(try prepare().contains("nothing to do"))
    try replace("later.png", by: "rgb.jpg")
    #expect(try prepare().contains("the image images/later.png is another one now"))
    #expect(try samples() == [0, 1, 2])
    // What was made of images that are gone stands.
    try FileManager.default.removeItem(atPath: folder("images"))
    #expect(try prepare().contains("nothing to do"))
  }

  @Test("An interrupted run makes the shards anew whose pictures are other ones now")
  func changedImagesOfFinishedShards() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    let names = ["rgb.png", "grey.png", "rgb.jpg", "nothing.png"]
    try folder.write(dataset(names.map { entry($0, image: $0) }), to: "data.json")
    let preset = "prepare:\n  max_reject_share: 0.2\n  samples_per_shard: 1\n"
    // Stops at the last entry, three shards written.
    #expect(try Program.prepare(folder.path, preset: preset).code == 65)
    let first = try content(folder("out"))
    #expect(first.count == 4)
    for (name, source) in [("grey.png", "palette.png"), ("nothing.png", "rgb.png")] {
      let bytes = try Files.read(Program.images + "/" + source)
      try Data(bytes).write(to: URL(fileURLWithPath: folder("images/" + name)))
    }
    let run = try Program.prepare(folder.path, preset: preset)
    #expect(run.code == 0, "\(run.errors)")
    let second = try content(folder("out"))
    #expect(second["shard-00000.lmdb"] == first["shard-00000.lmdb"])
    #expect(second["shard-00001.lmdb"] != first["shard-00001.lmdb"])
    let whole = try Program.prepare(folder.path, preset: preset, output: folder("whole"))
    #expect(whole.code == 0)
    #expect(try content(folder("whole")) == second)
  }

  @Test("--limit takes the first entries")
  func limit() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    try folder.write(dataset((0..<9).map { entry("\($0)") }), to: "data.json")
    let run = try Program.prepare(folder.path, more: ["--limit", "4"])
    #expect(run.code == 0, "\(run.errors)")
    let reader = try ArtifactReader(directory: folder.path + "/out", kind: .samples)
    #expect(reader.indices == [0, 1, 2, 3])
  }

  @Test("What is wrong at the start is refused with its code, and no output is begun")
  func refusals() throws {
    let folder = try TemporaryFolder()
    try copyImages(to: folder.path)
    try folder.write(dataset([entry("a")]), to: "data.json")
    let model = folder.path + "/model"
    try FileManager.default.copyItem(atPath: Program.goldens + "/checkpoint", toPath: model)
    let config = try String(contentsOfFile: model + "/config.json", encoding: .utf8)
    func expect(_ code: Int32, _ message: String, _ run: Program) {
      #expect(run.code == code, "\(run.errors)")
      #expect(run.errors.contains(message), "\(run.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder.path + "/out"))
    }
    expect(66, "data set", try Program.prepare(folder.path, dataset: "nothing.json"))
    expect(66, "config.json", try Program.prepare(folder.path, model: folder.path))
    expect(
      66, "images", try Program.prepare(folder.path, more: ["--images", folder.path + "/none"]))
    expect(
      78, "context", try Program.prepare(folder.path, preset: "prepare:\n  contxt: 100\n"))
    expect(
      78, "min_pixels",
      try Program.prepare(folder.path, preset: "prepare:\n  min_pixels: 9000\n  max_pixels: 99\n"))
    expect(64, "--dataset", try Program.prepare(folder.path, more: ["--dataset"]))
    let shifted = config.replacingOccurrences(of: "\"patch_size\": 8", with: "\"patch_size\": 16")
    try shifted.write(toFile: model + "/config.json", atomically: true, encoding: .utf8)
    expect(65, "patch size", try Program.prepare(folder.path, model: model))
    try FileManager.default.removeItem(atPath: model + "/config.json")
    expect(66, "config.json", try Program.prepare(folder.path, model: model))
    try folder.write("", to: "data.json")
    expect(65, "empty", try Program.prepare(folder.path))
    try folder.write("[]", to: "data.json")
    expect(65, "no entries", try Program.prepare(folder.path))
  }
}

extension Manifest {
  /// The facts, but when it was.
  fileprivate var lasting: [String: JSON] { facts.filter { $0.key != "finished" } }
}
