import Artifacts
import Checkpoints
import Distillation
import Failures
import StageKit
import Training

/// The teacher's side of the interaction: its stored targets, and its language head where a loss
/// needs every logit.
struct Teacher {
  let targets: TargetReader
  private let head: LanguageHead?

  /// - Parameters:
  ///   - needsHead: whether a loss makes the teacher's logits again.
  ///   - directory: its checkpoint; nil takes the one that the targets name.
  /// - Throws: `Failure` 78 when a loss needs more than is stored, 65 or 66 for the checkpoint.
  init(_ targets: TargetReader, losses: [LossTerm.Kind], needsHead: Bool, directory: String?) throws
  {
    self.targets = targets
    if let loss = losses.first(where: \.needsVectors), !targets.hasVectors {
      throw Failure(
        .badPreset, "the loss \(loss.rawValue) needs all that the teacher says",
        at: targets.artifact.directory, expected: "targets of the form vectors",
        found: targets.artifact.manifest.facts["form"]?.asString,
        advice: "Set target.form: vectors and run vlsi-target again, or take the loss kl")
    }
    guard needsHead else {
      head = nil
      return
    }
    guard let place = directory ?? targets.artifact.manifest.facts["teacher"]?.asString else {
      throw Failure(
        .badData, "the targets do not name the teacher's checkpoint",
        at: targets.artifact.directory, advice: "Give it by --teacher")
    }
    let checkpoint = try Backbone(place).checkpoint
    try targets.artifact.requireInput("teacher.weights", checkpoint.fingerprint, from: place)
    head = try LanguageHead(checkpoint).prefix(targets.sharedVocabulary)
  }

  /// What the teacher puts out for these samples, checked to be of their positions and labels.
  func outputs(_ examples: [Example]) throws -> TeacherOutputs {
    TeacherOutputs(
      try examples.map { example in
        let stored = try targets.targets(example.index)
        guard stored.positions == example.positions else {
          throw Failure(
            .badData, "the targets were made at other positions than the sample's",
            at: targets.artifact.place(of: example.index), advice: "Run vlsi-target again.")
        }
        guard stored.labels == example.labels else {
          throw Failure(
            .badData, "the targets were made for other labels than the sample's",
            at: targets.artifact.place(of: example.index), advice: "Run vlsi-target again.")
        }
        return stored
      }, head: head)
  }
}
