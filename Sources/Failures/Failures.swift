/// The exit codes of every program, BSD's `sysexits.h`.
public enum ExitCode: Int32, Sendable {
  case done = 0
  /// What was compared is different: an answer, no failure.
  case different = 1
  /// The command line is wrong.
  case usage = 64
  /// An input exists but its content is bad.
  case badData = 65
  /// An input does not exist or cannot be opened.
  case inputMissing = 66
  /// A bug of ours.
  case software = 70
  /// An output cannot be created.
  case cannotCreate = 73
  /// Reading or writing failed midway, a full disk included.
  case ioFailed = 74
  /// Interrupted by SIGINT, SIGTERM or SIGHUP: the same command continues.
  case interrupted = 75
  /// A preset is wrong.
  case badPreset = 78
}

/// What went wrong, as a value: what failed, where, what was expected and found, what to do.
/// Rendered in one place, by `description`.
public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
  public var code: ExitCode
  /// What failed, one clause, no full stop.
  public var what: String
  /// Where: file, record, tensor, byte, line.
  public var place: String?
  public var expected: String?
  public var found: String?
  /// What the user can do.
  public var advice: String?

  public init(
    _ code: ExitCode, _ what: String, at place: String? = nil, expected: String? = nil,
    found: String? = nil, advice: String? = nil
  ) {
    self.code = code
    self.what = what
    self.place = place
    self.expected = expected
    self.found = found
    self.advice = advice
  }

  public var description: String {
    // What a file holds or is called may be of any length.
    let (expected, found) = (expected.map(shown), found.map(shown))
    var text = shown(what)
    if let place { text = "\(shown(place)): \(text)" }
    switch (expected, found) {
    case (let expected?, let found?): text += "; expected \(expected), found \(found)"
    case (let expected?, nil): text += "; expected \(expected)"
    case (nil, let found?): text += "; found \(found)"
    case (nil, nil): break
    }
    if let advice { text += ". \(advice)" }
    return text
  }

  private func shown(_ text: String) -> String { readable(text, most: 800) }
}

/// What a step of a training computed and is infinite or no number: the training adds which step it
/// was, and what to do.
public struct NotFinite: Error, Sendable {
  public let what: String
  public let value: Double

  public init(_ what: String, _ value: Double) { (self.what, self.value) = (what, value) }
}
