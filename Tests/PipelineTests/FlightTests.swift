import Artifacts
import Foundation
import TestSupport
import Testing

/// However many passes go through each decoder block together, features have the same bytes: of both
/// roles, of a family that adds visual levels behind its first blocks, with visual embeddings that are
/// stored and with those that are read.
@Suite struct FlightTests {
  private let bench: Workbench
  private let scratch: TemporaryFolder

  init() throws {
    bench = try Workbench.shared.get()
    scratch = try TemporaryFolder()
  }

  /// Extracts with these settings besides the workbench's: passes of 512 tokens, shards of 4 samples.
  private func extract(
    _ line: String, _ settings: String, samples: String = "$/samples", to name: String,
    share: String = ""
  ) throws {
    let preset = Workbench.preset.replacingOccurrences(
      of: "tokens_per_batch: 512}", with: "tokens_per_batch: 512, \(settings)}")
    let file = try scratch.write(preset, to: "\(name).yaml")
    let outcome = try bench.perform(
      "vlsi-extract \(line) --samples \(samples) --preset \(file) --output \(scratch(name)) \(share)"
    )
    try #require(outcome.code == 0, "\(outcome.errors)")
  }

  private func requireSame(_ name: String, as other: String) throws {
    let (a, b) = (try bytes(of: scratch(name)), try bytes(of: scratch(other)))
    #expect(a == b && !a.isEmpty, "\(name)")
    let content = try [name, other].map { try ArtifactReader.manifest(in: scratch($0)).content }
    #expect(content[0] == content[1])
  }

  @Test(arguments: [
    ("--role teacher --model $/teacher", "store_visual: false"),
    ("--role teacher --model $/teacher", "store_visual: true"),
    ("--role student --model $/student", "store_visual: auto"),
    ("--role student --model $/model --features $/features/student", "store_visual: auto"),
  ])
  func sameBytes(line: String, stores: String) throws {
    try compare(line, stores, samples: "$/samples")
    let settings = try ArtifactReader.manifest(in: scratch("1000")).execution["extract"]
    #expect(settings?["tokens_in_flight"] == .int(1000))
  }

  @Test func sameBytesOfAFamilyWithVisualLevels() throws {
    let (model, samples) = (scratch("deep"), scratch("samples"))
    for command in [
      "vlsi-synthesize checkpoint --like tiny-qwen3-vl --output \(model)",
      "vlsi-prepare --dataset $/data/train.json --images $/data --model \(model) --preset "
        + "$/preset.yaml --output \(samples)",
    ] { try #require(try bench.perform(command).code == 0) }
    try compare(
      "--role student --layers 1,2 --model \(model)", "store_visual: true", samples: samples)
  }

  private func compare(_ line: String, _ stores: String, samples: String) throws {
    for tokens in ["1", "1000", "1000000", "auto"] {
      try extract(line, "\(stores), tokens_in_flight: \(tokens)", samples: samples, to: tokens)
      try requireSame(tokens, as: "1")
    }
  }

  /// What was begun with one number goes on with another.
  @Test func goesOn() throws {
    let line = "--role teacher --model $/teacher"
    try extract(line, "tokens_in_flight: 1", to: "whole")
    try extract(line, "tokens_in_flight: 1000", to: "parts", share: "--share 0/2")
    try extract(line, "tokens_in_flight: auto", to: "parts")
    try requireSame("parts", as: "whole")
  }
}
