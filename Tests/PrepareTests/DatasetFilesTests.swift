import Artifacts
import Failures
import Foundation
import TestSupport
import Testing

@testable import vlsi_prepare

/// WebDatasets, folders and several files, with weights; what others' libraries wrote gives what the same
/// entries give as JSON.
@Suite struct DatasetFilesTests {
  private static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Goldens/datasets").path

  private func entries(_ text: String, every stride: Int = 1) throws -> [DatasetReader.Entry] {
    let reader = try DatasetFiles(text).entries(every: stride)
    var found: [DatasetReader.Entry] = []
    while let entry = try reader.next() { found.append(entry) }
    return found
  }

  private func ids(_ text: String, every stride: Int = 1) throws -> [String] {
    try entries(text, every: stride).map {
      try JSON(parsing: $0.bytes, place: "x")["id"]?.asString ?? "?"
    }
  }

  private func tar(_ folder: TemporaryFolder, _ members: [(String, [UInt8])], to name: String)
    throws
  {
    for (member, bytes) in members {
      let path = folder("members/" + member)
      try Files.makeDirectory(Files.parent(of: path))
      try writeAtomically(bytes, to: path)
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["tar", "-C", folder("members"), "-caf", folder(name)] + members.map(\.0)
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
  }

  @Test(
    "What webdataset and pyarrow wrote gives the samples of the same entries as JSON",
    arguments: [("webdataset.tar", "entries.json"), ("cauldron.tar", "cauldron.json")])
  func goldens(_ archive: String, _ plain: String) throws {
    let folder = try TemporaryFolder()
    func records(_ file: String, _ output: String) throws -> [Record] {
      let run = try Program.prepare(
        "", dataset: Self.goldens + "/" + file, output: folder(output),
        more: ["--images", Program.images])
      try #require(run.code == 0, "\(run.errors)")
      let reader = try ArtifactReader(directory: folder(output), kind: .samples)
      return try reader.indices.map(reader.record)
    }
    let (packed, loose) = (try records(archive, "tar"), try records(plain, "json"))
    #expect(packed.count == 3 && packed == loose)
    #expect(
      packed[1].tensors["pixels.1"] != nil
        && packed[0].tensors["pixels.0"] != packed[1].tensors["pixels.0"])
  }

  @Test(
    "The converter makes the WebDataset that is in the repository",
    .enabled(if: Python.has("pyarrow"), "needs Python with pyarrow, named by VLSI_PYTHON"))
  func converter() throws {
    let folder = try TemporaryFolder()
    let script = Self.goldens + "/../../../pipeline/parquet.py"
    let (status, text) = Python.run([
      script, Self.goldens + "/cauldron.parquet", "--output", folder("made.tar"), "--batch", "1",
    ])
    #expect(status == 0, "\(text)")
    #expect(try Files.read(folder("made.tar")) == Files.read(Self.goldens + "/cauldron.tar"))
    #expect(Python.run([script, folder("none"), "--output", folder("x.tar")]).status != 0)
    #expect(!Files.exists(folder("x.tar")))
  }

  @Test("A key ends at the first point of the file's own name")
  func keys() {
    for (name, key, ending) in [
      ("a/b.c/000.jpg", "a/b.c/000", "jpg"), ("x.0.PNG", "x", "0.png"), ("x", "x", nil),
      (".hidden", ".hidden", nil), ("d.e/x", "d.e/x", nil), ("x.", "x", ""),
    ] as [(String, String, String?)] {
      let found = TarReader.parts(name)
      #expect(found.key == key && found.ending == ending, "\(name)")
    }
  }

  @Test("Packed or not, with other files among them", arguments: ["a.tar", "a.tar.gz", "a.tar.xz"])
  func archives(name: String) throws {
    let folder = try TemporaryFolder()
    try tar(
      folder,
      [
        ("s/1.json", Array(#"{"conversations": []}"#.utf8)), ("s/1.10.png", [1]),
        ("s/1.2.png", [2]),
        ("s/1.txt", [3]), ("s/2.png", [9]), ("s/readme", [4]), ("s/3.json", Array("[".utf8)),
      ], to: name)
    let found = try entries(folder(name))
    #expect(found.count == 3 && found.map(\.line) == [1, 2, 3])
    let first = try JSON(parsing: found[0].bytes, place: "x")
    #expect(first["id"] == "s/1")
    #expect(first["images"] == ["data:;base64,Ag==", "data:;base64,AQ=="])
    // A picture without words names itself; what is no JSON is for the sample's builder to say.
    #expect(String(decoding: found[1].bytes, as: UTF8.self).contains("s/2"))
    #expect(found[2].bytes == Array("[".utf8))
  }

  @Test("A damaged archive, or none, is refused with 65", arguments: [0, 1, 2, 3])
  func damage(kind: Int) throws {
    let folder = try TemporaryFolder()
    try tar(
      folder, (0..<40).map { ("\($0).json", Array(repeating: UInt8(ascii: " "), count: 2000)) },
      to: "a.tar")
    var bytes = try Files.read(folder("a.tar"))
    switch kind {
    case 0: bytes = Array(bytes[..<(bytes.count / 2 + 100)])
    case 1: bytes[3000...3100] = ArraySlice(repeating: 0xFF, count: 101)
    case 2: bytes = Array("{}\n".utf8)
    default: bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 73 >> 2) }
    }
    try writeAtomically(bytes, to: folder("a.tar"))
    let found = failure { _ = try entries(folder("a.tar")) }
    #expect(found?.code == .badData, "\(found as Any)")
    #expect(found?.place == folder("a.tar"))
  }

  @Test("A folder, several files, weights: evenly, and the same every time")
  func several() throws {
    let folder = try TemporaryFolder()
    try folder.write(#"[{"id": "a0"}, {"id": "a1"}, {"id": "a2"}, {"id": "a3"}]"#, to: "d/a.json")
    try folder.write("{\"id\": \"b0\"}\n{\"id\": \"b1\"}\n", to: "d/b10.jsonl")
    try tar(folder, [("c0.json", Array("{}".utf8))], to: "d/b9.tar")
    try folder.write("no data", to: "d/notes.txt")
    let (a, b) = (folder("d/a.json"), folder("d/b10.jsonl"))
    #expect(try ids(folder("d")) == ["a0", "a1", "a2", "a3", "c0", "b0", "b1"])
    #expect(try ids("\(b) \(a)*0.5") == ["b0", "b1", "a1", "a3"])
    #expect(try ids("\(a)*0.25 \(b)*2") == ["a3", "b0", "b0", "b1", "b1"])
    #expect(try ids("\(a)*1.5") == ["a0", "a1", "a1", "a2", "a3", "a3"])
    #expect(try ids(folder("d"), every: 3) == ["a0", "a3", "b1"])
    let share = try DatasetFiles(folder("d")).entries(share: (3, 7))
    var taken: [DatasetReader.Entry] = []
    while let entry = try share.next() { taken.append(entry) }
    #expect(taken.map(\.index) == [0, 1, 2] && taken.map(\.line) == [1, 1, 2])
    #expect(try entries("\(a) \(b)").map(\.index) == Array(0..<6))
    #expect(try entries("\(a) \(b)").last?.part == "b10.jsonl")
    #expect(try entries(a).last?.part == nil)
    // One file is what it always was; order and weights are part of what several are.
    #expect(try DatasetFiles(a).fingerprint == Fingerprint.file(a))
    let known = try ["\(a) \(b)", "\(b) \(a)", "\(a)*2 \(b)", "\(a)*2"].map {
      try DatasetFiles($0).fingerprint
    }
    #expect(Set(known).count == 4)
  }

  @Test("A path with a blank or a star is a path")
  func names() throws {
    let folder = try TemporaryFolder()
    try folder.write(#"[{"id": "x"}]"#, to: "my data*2.json")
    #expect(try ids(folder("my data*2.json")) == ["x"])
    #expect(try DatasetFiles(folder("my data*2.json")).parts.map(\.weight) == [1])
  }

  @Test("What cannot be meant is refused")
  func refusals() throws {
    let folder = try TemporaryFolder()
    try folder.write("[]", to: "a.json")
    try folder.write("PAR1", to: "p/x.parquet")
    try Files.makeDirectory(folder("empty"))
    for (text, code, words) in [
      ("\(folder("a.json"))*0 \(folder("a.json"))", ExitCode.usage, "weight"),
      ("\(folder("a.json"))*x", .usage, "weight"), ("\(folder("a.json"))*-1", .usage, "weight"),
      ("\(folder("a.json"))*1e9", .usage, "weight"), (folder("empty"), .inputMissing, "a folder"),
      (folder("p"), .badData, "pipeline/parquet.py"),
      (folder("p/x.parquet"), .badData, "pipeline/parquet.py"),
    ] {
      let found = failure { _ = try DatasetFiles(text) }
      #expect(found?.code == code && found?.description.contains(words) == true, "\(found as Any)")
    }
    let missing = failure { _ = try entries(folder("none.tar")) }
    #expect(missing?.code == .inputMissing)
  }

  @Test("Entries come one by one, however many there are", arguments: [40, 400])
  func oneByOne(count: Int) throws {
    let folder = try TemporaryFolder()
    let picture = [UInt8](repeating: 7, count: 200_000)
    try tar(
      folder,
      (0..<count).flatMap { [("\($0).png", picture), ("\($0).json", Array("{}".utf8))] },
      to: "a.tar")
    let reader = try DatasetFiles(folder("a.tar")).entries()
    var largest = 0
    var number = 0
    while let entry = try reader.next() {
      largest = max(largest, entry.bytes.count)
      number += 1
    }
    #expect(number == count && largest < 300_000)
  }
}
