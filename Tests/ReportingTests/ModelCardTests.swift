import Artifacts
import Foundation
import Models
import TestSupport
import Testing

@testable import Reporting

@Suite struct ModelCardTests {
  @Test(arguments: [
    ("runs/2b/model", "2b", "2b"), ("/home/me/runs/2b/compare/sft/model/", "2b-sft", "2b-sft"),
    ("model", "model", "model"), ("./my-model", "my-model", "my-model"),
    ("models/Qwen2-VL-2B-Instruct", "Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-2B-Instruct"),
    ("/m/Qwen/Other", "Other", "Qwen/Other"), ("data/student", "student", "student"),
    (
      "/home/me/.cache/huggingface/hub/models--Qwen--Qwen2-VL-7B/snapshots/51c4", "51c4",
      "Qwen/Qwen2-VL-7B"
    ),
  ])
  func `names by their folders`(directory: String, name: String, hub: String) {
    #expect(HubName.ofFolder(directory) == name)
    #expect(HubName.of(directory) == hub)
  }

  @Test func `the licence stands in the base's card`() throws {
    let folder = try TemporaryFolder()
    func license(_ card: String) throws -> [String: String] {
      try folder.write(card, to: "README.md")
      return ModelCard.license(of: folder.path)
    }
    #expect(
      try license("---\nlicense: apache-2.0\nlanguage:\n- en\n---\n\nlicense: mit\n")
        == ["license": "apache-2.0"])
    #expect(
      try license(
        "---\r\nlicense: other\r\nlicense_name: \"tongyi qianwen\"\r\n"
          + "license_link: https://x.y/z:1\r\nlicenses: no\r\n---\r\n")
        == [
          "license": "other", "license_name": "tongyi qianwen", "license_link": "https://x.y/z:1",
        ])
    for bad in ["", "license: mit\n", "---\nlicense: mit\n", "\n---\nlicense: mit\n---\n"] {
      #expect(try license(bad).isEmpty, "\(bad)")
    }
    #expect(ModelCard.license(of: folder("nowhere")).isEmpty)
    try Data([0xFF, 0xFE, 0]).write(to: URL(fileURLWithPath: folder("README.md")))
    #expect(ModelCard.license(of: folder.path).isEmpty)
  }

  @Test(arguments: [
    ("Qwen/Qwen2-VL-2B", "Qwen/Qwen2-VL-2B"), ("yes", "\"yes\""), ("1.5", "\"1.5\""),
    ("a: b", "\"a: b\""), ("", "\"\""), ("- x\n---", "\"- x\\n---\""), ("null", "\"null\""),
  ])
  func `scalars of YAML cannot be misread`(text: String, scalar: String) {
    #expect(ModelCard.scalar(text) == scalar)
  }

  @Test func `words of Markdown and HTML are none`() {
    #expect(ModelCard.plain("a|b_c<i>\n`d`[e]") == "a\\|b\\_c\\<i\\> \\`d\\`\\[e\\]")
  }
}
