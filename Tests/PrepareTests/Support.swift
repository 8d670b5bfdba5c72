import Artifacts
import Foundation
import Imaging
import Testing

/// The program as built beside the tests, run as users run it.
struct Program {
  var code: Int32
  var errors: String

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
  /// What Tests/Goldens/make_text_goldens.py and make_image_goldens.py made.
  static let goldens = root.appending(path: "Goldens/text").path
  static let images = root.appending(path: "Goldens/images").path

  static let executable: URL = {
    let built = Bundle.main.bundleURL
    let here = built.appending(path: "vlsi-prepare")
    return FileManager.default.isExecutableFile(atPath: here.path)
      ? here : built.deletingLastPathComponent().appending(path: "vlsi-prepare")
  }()

  /// Prepares a data set that lies in a folder with its images, into `out` in it.
  static func prepare(
    _ folder: String, dataset: String = "data.json", preset: String? = nil,
    model: String = goldens + "/checkpoint", output: String? = nil, more: [String] = []
  ) throws -> Program {
    var arguments = [
      "--dataset", folder + "/" + dataset, "--model", model, "--output", output ?? folder + "/out",
    ]
    if let preset {
      try preset.write(toFile: folder + "/preset.yaml", atomically: true, encoding: .utf8)
      arguments += ["--preset", folder + "/preset.yaml"]
    }
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments + more
    let pipe = Pipe()
    process.standardError = pipe
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Program(code: process.terminationStatus, errors: String(decoding: data, as: UTF8.self))
  }
}

/// Puts the golden images into a folder's `images`.
func copyImages(to folder: String) throws {
  try FileManager.default.copyItem(
    atPath: Program.images, toPath: folder + "/images")
}

/// The lines of rejects.jsonl.
func rejects(_ output: String) throws -> [JSON] {
  let path = output + "/rejects.jsonl"
  return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
    try JSON(parsing: String($0), place: path)
  }
}

/// The bytes of every file of an artifact that must not depend on time or machine.
func content(_ output: String) throws -> [String: Data] {
  var result: [String: Data] = [:]
  for name in try FileManager.default.contentsOfDirectory(atPath: output)
  where name.hasSuffix(".lmdb") || name == "rejects.jsonl" {
    result[name] = FileManager.default.contents(atPath: output + "/" + name)
  }
  return result
}
