/// A model that a run scores: one of the five of the closing table, or another one, known by the
/// folder of its evaluation alone.
public struct Contender: Hashable, Sendable {
  /// The folder below `evaluation`.
  public let name: String

  public static let teacher = Contender(name: "teacher")
  public static let student = Contender(name: "student")
  public static let sft = Contender(name: "sft")
  public static let lastLayer = Contender(name: "last-layer")
  public static let model = Contender(name: "model")

  /// The models that every run compares, in the order of the closing table.
  public static let known: [Contender] = [.teacher, .student, .sft, .lastLayer, .model]

  /// The row's words.
  public var label: String {
    switch self {
    case .teacher: "teacher"
    case .student: "student as it is"
    case .sft: "SFT alone"
    case .lastLayer: "last-layer distillation, then SFT"
    case .model: "VLsI, then SFT"
    default: name
    }
  }

  /// The column's words.
  public var short: String {
    switch self {
    case .sft: "SFT"
    case .lastLayer: "last layer"
    case .model: "VLsI"
    default: name
    }
  }

  var evaluation: String { "evaluation/\(name)" }
  /// Where the trained ones' artifacts lie below the run.
  var adapter: String? {
    switch self {
    case .lastLayer: "compare/last-layer/adapter"
    case .model: "adapter"
    default: nil
    }
  }
  var finetuned: String? {
    switch self {
    case .sft, .lastLayer: "compare/\(name)/model"
    case .model: "model"
    default: nil
    }
  }

  /// Its colour on the page.
  var tone: Tone {
    Contender.known.contains(self) ? Tone(rawValue: name) ?? .other : .other
  }
}

/// Whose mark it is: a model has one colour all over the page (`Style` says which).
enum Tone: String {
  case teacher, student, sft
  case lastLayer = "last-layer"
  case model, other

  /// The class that sets the colour of what stands in it.
  var style: String { "tone-\(rawValue)" }

  /// A dot of the colour, before a name.
  var key: HTML { "<i class=\"key \(style)\"></i>" }
}
