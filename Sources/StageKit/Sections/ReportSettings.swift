/// The closing page.
public struct ReportSettings: SettingsSection {
  public static let name = "report"

  /// The page's heading; empty takes the run's name.
  public var title = ""

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("title", &title)
  }
}
