import Artifacts
import Checkpoints
import Failures
import Models
import StageKit

/// Whether every byte is what was written.
struct Verdict {
  private let subject: Subject
  private let problems: [Failure]
  private let checked: String

  init(_ subject: Subject, stage: Stage) throws {
    self.subject = subject
    switch subject.kind {
    case .artifact(let manifest):
      let progress = stage.progress(
        total: max(1, manifest.bytes / 1_000_000), unit: "MB", label: "verify")
      var left = 0
      var found = try ArtifactReader.verify(directory: subject.path) { bytes in
        left += bytes
        if left >= 1_000_000 {
          progress.advance(left / 1_000_000)
          left %= 1_000_000
        }
      }
      for file in manifest.files where file.file.hasSuffix(".safetensors") {
        // What cannot even be opened has its problem by now.
        guard let file = try? readSafetensorsFile(Files.join(subject.path, file.file)) else {
          continue
        }
        found += try Verdict.notFinite(TensorFiles([file], path: file.path), stage: stage)
      }
      if manifest.kind == .model { found += Verdict.unfit(subject.path) }
      problems = found
      var parts: [String] = []
      if !manifest.shards.isEmpty {
        parts.append(Human.plural(manifest.shards.count, "shard"))
        parts.append(Human.plural(manifest.records, "record"))
      }
      if !manifest.files.isEmpty { parts.append(Human.plural(manifest.files.count, "file")) }
      checked = (parts + [Human.bytes(manifest.bytes)]).joined(separator: ", ")
    case .checkpoint(let checkpoint):
      var found: [Failure] = []
      do { try checkpoint.checkComplete() } catch let failure as Failure { found.append(failure) }
      let tensors = TensorFiles(checkpoint)
      found += try Verdict.notFinite(tensors, stage: stage)
      found += Verdict.unfit(subject.path)
      problems = found
      checked = Human.plural(tensors.names.count, "tensor") + ", all that the config asks for"
    case .tensorFile(let file):
      let tensors = TensorFiles([file], path: file.path)
      problems = try Verdict.notFinite(tensors, stage: stage)
      checked = Human.plural(tensors.names.count, "tensor")
    case .run, .runs:
      throw Failure(
        .usage, "a run is verified artifact by artifact", at: subject.path,
        advice: "Give one of its artifacts, or run `make verify-NAME`")
    case .shard(let shard):
      var found: [Failure] = []
      for index in shard.indices {
        do {
          try shard.record(index).requireFinite(
            at: "\(subject.path), record \(index)", advice: "Run the stage that wrote it again")
        } catch let failure as Failure { found.append(failure) }
      }
      problems = found
      checked = Human.plural(shard.indices.count, "record")
    }
  }

  /// What stands in the way of opening a checkpoint's tokenizer, chat template and image processor
  /// as stages do. A folder of weights alone lacks them, which is no damage.
  private static func unfit(_ directory: String) -> [Failure] {
    do {
      _ = try CheckpointProcessor(directory: directory)
      return []
    } catch let failure as Failure {
      return failure.code == .inputMissing ? [] : [failure]
    } catch {
      return [Failure(.badData, "\(error)", at: directory)]
    }
  }

  /// Weights that are infinite or no numbers.
  private static func notFinite(_ tensors: TensorFiles, stage: Stage) throws -> [Failure] {
    let progress = stage.progress(total: tensors.names.count, unit: "tensors", label: "verify")
    return try tensors.names.compactMap { name in
      var moments = NumberSummary()
      try tensors.forEachPiece(name) { moments.add($0) }
      progress.advance()
      guard moments.notFinite > 0 else { return nil }
      return Failure(
        .badData, "values that are not finite", at: "\(tensors.path), tensor \(name)",
        found: "\(moments.notFinite)")
    }
  }

  /// Throws 65 when something is wrong, after saying what.
  func show(_ format: OutputFormat) throws {
    if format == .json {
      Output.json([
        "path": .string(subject.path), "sound": .bool(problems.isEmpty),
        "checked": .string(checked),
        "problems": .array(problems.map { .string($0.description) }),
      ])
    } else if problems.isEmpty {
      Output.line("sound: \(subject.path) (\(checked))")
    } else {
      for problem in problems { Output.line("\(problem)") }
    }
    guard problems.isEmpty else {
      throw Failure(
        .badData, "\(Human.plural(problems.count, "problem")) found", at: subject.path,
        advice: advice)
    }
  }

  private var advice: String {
    switch subject.kind {
    case .artifact(let manifest) where !manifest.shards.isEmpty:
      "Run its stage again: it makes the damaged shards anew, and nothing else"
    case .artifact: "Run its stage again: it makes anew what is damaged"
    case .checkpoint: "Download it again"
    case .shard, .tensorFile, .run, .runs: "Run its stage again, or download it again"
    }
  }
}
