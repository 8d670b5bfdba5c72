/// The closing page.
public struct ReportSettings: SettingsSection {
  public static let name = "report"

  /// The page's heading; empty takes the run's name.
  public var title = ""
  /// Held-out questions that every layer of the student answers on its own, before and after.
  public var questions = 4
  /// The longest of these answers, in tokens.
  public var maxNewTokens = 64

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("title", &title)
    try settings("questions", &questions, in: 0...100)
    try settings("max_new_tokens", &maxNewTokens, in: 1...4096)
  }
}
