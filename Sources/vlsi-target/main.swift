import ArgumentParser
import Artifacts
import Checkpoints
import Distillation
import Failures
import StageKit
import Tensors
import Tokenization

/// What every target layer of the teacher says, and its last layer, stored so that the student's
/// training needs neither the teacher nor its logits.
struct Target: StageCommand {
  static let name = "vlsi-target"
  static let abstract = "Turns a teacher's features into soft targets for a student."
  static let example =
    "vlsi-target --teacher teacher --student student --features runs/2b/features/teacher "
    + "--verbalizers runs/2b/verbalizers/teacher --output targets"

  @Option(help: "The teacher's checkpoint.")
  var teacher: String
  @Option(help: "The student's checkpoint.")
  var student: String
  @Option(help: "The teacher's features.")
  var features: String
  @Option(help: "The teacher's verbalizers.")
  var verbalizers: String
  @Option(
    help: """
      The student's samples, where the teacher's features are of samples of its own: supervised \
      positions are matched token by token.
      """)
  var samples: String?
  @Option(help: "How the distributions are stored (default: the preset's).")
  var form: TargetSettings.Form?
  @Option(help: "The targets artifact to write.")
  var output: String
  @OptionGroup var part: ShareOptions
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    var settings = stage.preset.target
    settings.form = form ?? settings.form
    let computation = try TargetComputation(
      teacher: teacher, student: student, features: features, verbalizers: verbalizers,
      samples: samples, settings: settings)
    guard
      let writer = try stage.artifact(
        at: output, kind: .targets, settings: ["target": settings.json], inputs: computation.inputs,
        samplesPerShard: computation.features.artifact.manifest.samplesPerShard,
        share: part.wanted,
        before: {
          try stage.plan(memory: computation.plannedBytes, advice: "Name fewer target layers.")
        })
    else { return }
    if computation.shared < computation.teacherHeadRows {
      stage.log.info(
        "the teacher's \(computation.teacherHeadRows) logits are cut to the \(computation.shared) shared"
      )
    }

    let all = computation.features.artifact.indices
    let indices = stage.limit.map { Array(all.prefix($0)) } ?? all
    let isWhole = try stage.writeShards(
      of: indices, to: writer, unit: "samples", label: "target"
    ) { members, append, advance in
      var entropy = MeanEntropy()
      try computation.forEachGroup(members) { group in
        try stage.checkInterrupt()
        for var target in try computation.targets(group) {
          entropy.add(target)
          try computation.move(&target)
          try append(target.record(width: computation.width, precision: settings.elementType))
        }
        advance(group.count)
      }
      return entropy.means(computation.layers).map { ("entropy.\($0)", .number($1)) }
    }
    if isWhole { try stage.finish(writer, facts: computation.facts(settings)) }
  }
}

/// The mean entropy of a shard's distributions by layer: flat layers stand out at once.
struct MeanEntropy {
  private var sums: [TargetLayer: Double] = [:]
  private var positions = 0

  mutating func add(_ target: SoftTargetRecord) {
    positions += target.positions.count
    for (layer, soft) in target.layers {
      sums[layer, default: 0] += soft.entropy.reduce(0) { $0 + Double($1) }
    }
  }

  func means(_ layers: [TargetLayer]) -> [(TargetLayer, Double)] {
    layers.map { ($0, (sums[$0] ?? 0) / Double(max(1, positions))) }
  }
}

Target.main()
