import Failures
import Foundation
import Yams

/// All settings of a run, one typed section for each stage. A key that the file does not give
/// has the default of its section.
public struct Preset: Sendable {
  public var run = RunSettings()
  public var synthesize = SynthesizeSettings()
  public var prepare = PrepareSettings()
  public var extract = ExtractSettings()
  public var verbalize = VerbalizeSettings()
  public var target = TargetSettings()
  public var align = AlignSettings()
  public var finetune = FinetuneSettings()
  public var evaluate = EvaluateSettings()
  public var report = ReportSettings()

  /// The file it came from, as the user named it; nil for the defaults.
  public private(set) var file: String?

  /// The sections that the file has, or one that it extends, be they empty.
  public private(set) var sections: Set<String> = []

  /// The defaults of every section.
  public init() {}

  /// Reads a YAML file and those that it extends (`extends: other.yaml`, relative to the file;
  /// its own keys win).
  ///
  /// Throws 66 when a file is missing, 78 when its content is wrong, naming file and line.
  ///
  /// - Parameters:
  ///   - path: nil for the defaults
  ///   - words: `section.key=value`, over what the file says; the value as it would stand in YAML.
  ///     Throws 64 for another form.
  public init(contentsOf path: String?, setting words: [String] = []) throws {
    file = path
    let written = try path.map { try PresetDocument.chain(from: $0) } ?? []
    let documents = try written + words.map { try PresetDocument(setting: $0) }
    try PresetDocument.refuseUnknownSections(documents, known: Preset.sectionNames)
    sections = Set(written.flatMap(\.sections))
    try visit { section in
      let settings = Settings(
        section: type(of: section).name,
        layers: try documents.compactMap { try $0.layer(type(of: section).name) })
      try section.declare(settings)
      try settings.refuseUnknownKeys()
    }
  }

  /// The names of all sections.
  public static var sectionNames: [String] {
    var names: [String] = []
    var preset = Preset()
    try? preset.visit { names.append(type(of: $0).name) }
    return names
  }

  /// Every section as a JSON object.
  public var settings: SettingValue {
    var pairs: [(key: String, value: SettingValue)] = []
    var copy = self
    try? copy.visit { pairs.append((type(of: $0).name, $0.settings)) }
    return .object(pairs)
  }

  /// The one list of sections.
  private mutating func visit(_ body: (inout any SettingsSection) throws -> Void) throws {
    func apply<Section: SettingsSection>(_ section: inout Section) throws {
      var erased: any SettingsSection = section
      try body(&erased)
      if let changed = erased as? Section { section = changed }
    }
    try apply(&run)
    try apply(&synthesize)
    try apply(&prepare)
    try apply(&extract)
    try apply(&verbalize)
    try apply(&target)
    try apply(&align)
    try apply(&finetune)
    try apply(&evaluate)
    try apply(&report)
  }
}
