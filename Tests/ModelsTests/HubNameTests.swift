import Models
import TestSupport
import Testing

/// What a checkpoint is called in what others read: a hub's name where anything tells it, a path never.
@Suite struct HubNameTests {
  private func name(card: String? = nil, config: String? = nil, given: String? = nil) throws
    -> String
  {
    let scratch = try TemporaryFolder()
    try scratch.write(config ?? "{}", to: "mine/config.json")
    if let card { try scratch.write(card, to: "mine/README.md") }
    return HubName.of(scratch("mine"), given: given)
  }

  @Test func `what the user says, the card, the config, the folder`() throws {
    let card =
      "x\n```python\nM.from_pretrained(\n    \"Qwen/Two\", a=1)\nP.from_pretrained('Qwen/Two')\n"
    let config = #"{"_name_or_path": "Qwen/Three"}"#
    #expect(try name(card: card, config: config, given: "me/One") == "me/One")
    #expect(try name(card: card, config: config) == "Qwen/Two")
    #expect(
      try name(card: card + "from_pretrained(\"Qwen/Other\")", config: config) == "Qwen/Three")
    #expect(try name(card: "from_pretrained(\"PATH\")", config: config) == "Qwen/Three")
    #expect(try name() == "mine")
  }

  @Test(arguments: [
    "/home/me/models/x", "./x", "../a/b", "data/student", "models/qwen", "output/checkpoint-500",
    "a/checkpoint-9", "a/b/c", "a", "", "a/", "/b", "a b/c", "Tests/Goldens",
  ])
  func `a path is no name`(_ path: String) throws {
    #expect(try name(config: #"{"_name_or_path": "\#(path)"}"#) == "mine")
  }

  @Test func `damaged files tell nothing`() throws {
    for config in ["", "[", #"{"_name_or_path": 3}"#, "[1]"] {
      #expect(try name(card: "from_pretrained(", config: config) == "mine")
    }
  }
}
