import Artifacts
import Failures
import Foundation

/// What Make follows of a preset: a text for every kind of artifact, which is another one where what
/// decides such an artifact is. It holds the section's content settings, those that the preset leaves
/// at their default too, as manifests do; the seed where something is random; and what the user
/// brought. Comments, the order of keys, how a number is written and execution settings show nowhere.
public struct PresetSlices {
  /// What a user may bring, by Make's names (inputs.mk).
  public static let inputs = ["TEACHER", "STUDENT", "DATASET", "IMAGES", "BENCHMARK"]

  /// Every slice by its name, that of a file.
  public private(set) var texts: [(name: String, text: String)] = []

  /// - Parameters:
  ///   - seed: of everything random; nil leaves it out
  ///   - brought: what the user brought, by names of `inputs`; an empty path is none
  public init(_ preset: Preset, seed: UInt64?, brought: [String: String]) {
    func slice(
      _ name: String, _ section: some SettingsSection, seed: UInt64? = nil, needs: [String] = [],
      multiplies: Bool = true, reading also: [(key: String, value: SettingValue)] = []
    ) {
      var lines = ["\(type(of: section).name):"]
      lines += section.values(.content).map { "  \($0.key): \($0.value.json)" }
      lines += also.map { "  \($0.key): \($0.value.json)" }
      if let seed { lines.append("seed \(seed)") }
      // What `auto` comes to is the machine's affair: an artifact stays as it was made.
      if multiplies, preset.run.precision != .auto {
        lines.append("precision \(preset.run.precision.rawValue)")
      }
      for input in needs {
        guard let path = brought[input], !path.isEmpty else { continue }
        lines.append("\(input)=\(path)")
      }
      texts.append((name, lines.joined(separator: "\n") + "\n"))
    }
    /// Some of another section's settings.
    func named(
      _ section: some SettingsSection, _ keys: [String]
    ) -> [(key: String, value: SettingValue)] {
      section.values.filter { keys.contains($0.key) }.map {
        ("\(type(of: section).name).\($0.key)", $0.value)
      }
    }
    slice("data", preset.synthesize, multiplies: false)
    slice(
      "samples", preset.prepare, needs: ["DATASET", "IMAGES", "STUDENT"], multiplies: false)
    // Either backbone's features depend on its own layers: the other's stand at their default.
    var (teacher, student) = (preset.extract, preset.extract)
    teacher.studentLayers = ExtractSettings().studentLayers
    student.teacherLayers = ExtractSettings().teacherLayers
    let stores = [false, true].map { isStudent in
      preset.extract.storesVisual(ofStudent: isStudent, learns: preset.finetune.trainVision)
    }
    (teacher.storeVisual, student.storeVisual) = (
      stores[0] ? .always : .never, stores[1] ? .always : .never
    )
    slice("features-teacher", teacher, needs: ["TEACHER"])
    // The student's states are stored as far as verbalize reads them.
    let reading = ["steps", "epochs", "most_steps", "tokens_per_batch"]
    slice(
      "features-student", student, needs: ["STUDENT"],
      reading: named(preset.verbalize, reading))
    slice("verbalizers", preset.verbalize, seed: seed)
    slice("targets", preset.target)
    slice("adapter", preset.align, seed: seed, needs: ["STUDENT"])
    slice("model", preset.finetune, seed: seed, needs: ["STUDENT"])
    slice(
      "evaluation", preset.evaluate, needs: ["BENCHMARK", "IMAGES"],
      reading: named(preset.prepare, ["min_pixels", "max_pixels"]))
    slice("report", preset.report, multiplies: false)
    // Answers for Make itself.
    texts.append(("teacher-samples", "\(preset.run.teacherSamples.rawValue)\n"))
    texts.append(("budget", preset.run.budgetHours.map { "\($0)\n" } ?? "none\n"))
    texts.append(("visual", stores[1] ? "stored\n" : "none\n"))
    texts.append(("threads", "\(preset.run.threads)\n"))
    let isEmbedded = preset.sections.contains(SynthesizeSettings.name)
    texts.append(("embedded", isEmbedded ? "yes\n" : "no\n"))
  }

  /// Writes each slice to a file of its own, whose path is `prefix` and the slice's name, and leaves
  /// a file alone that has that content: its time is what Make looks at.
  ///
  /// - Returns: the names of those that were written.
  /// - Throws: 73 or 74 where one cannot be.
  public func write(to prefix: String) throws -> [String] {
    try Files.makeDirectory(Files.parent(of: prefix + "slice"))
    var written: [String] = []
    for (name, text) in texts {
      let path = prefix + name
      // Bytes, since texts of other bytes may be equal.
      let bytes = Array(text.utf8)
      if Files.isFile(path), try Files.read(path) == bytes { continue }
      // A half-written one is no harm: the next call finds it to be another.
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      written.append(name)
    }
    return written
  }
}
