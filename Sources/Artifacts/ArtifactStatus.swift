import Glibc

/// How far an artifact is, for whoever only looks: what of it is there, and who is at it.
public struct ArtifactStatus: Sendable {
  /// A process that makes the artifact, or some of its shards.
  public struct Writer: Sendable {
    public let program: String
    public let host: String
    public let process: Int
    public let share: Share
    /// What it has done of its part, in `unit`s (a plural); nil before it has begun.
    public let done: Int?
    public let total: Int?
    public let unit: String
    /// Units a second since it started; 0 before the first one.
    public let rate: Double
    /// Seconds since it came in, by this machine's clock.
    public let seconds: Double
  }

  /// The file in a run's folder in which a plan says how long each of its artifacts takes.
  public static let planName = "plan.json"

  public let directory: String
  /// Nil where there is none yet.
  public let manifest: Manifest?
  /// Of an unfinished one: the shards that are done, their records, and all records that it will have,
  /// where it is known.
  public let shards: Int
  public let records: Int
  public let expected: Int?
  public let writers: [Writer]

  /// Nil for a folder that holds no artifact, finished or begun.
  public init?(directory: String) {
    let manifest = try? ArtifactReader.manifest(in: directory)
    let journal = manifest == nil ? Journal.read(in: directory) : nil
    writers = Admission.writers(in: directory).map { holder in
      let json = holder.json
      let (fresh, seconds) = (json["fresh"]?.asInt ?? 0, json["seconds"]?.asDouble ?? 0)
      return Writer(
        program: json["program"]?.asString ?? "", host: json["host"]?.asString ?? "",
        process: json["process"]?.asInt ?? 0, share: holder.share, done: json["done"]?.asInt,
        total: json["total"]?.asInt, unit: json["unit"]?.asString ?? "",
        rate: seconds > 0 ? Double(fresh) / seconds : 0,
        seconds: max(0, Double(time(nil)) - (json["since"]?.asDouble ?? 0)))
    }
    guard manifest != nil || journal != nil || !writers.isEmpty else { return nil }
    self.directory = directory
    self.manifest = manifest
    shards = journal?.shards.count ?? 0
    records = journal?.shards.values.reduce(0) { $0 &+ $1.shard.records } ?? 0
    expected = ArtifactWriter.expected(in: directory)
  }
}

extension ArtifactWriter {
  private static let expectedName = "expected"

  /// Notes how many records the whole artifact will have, for whoever looks meanwhile.
  public func expect(records: Int) {
    guard repaired == nil, let folder = try? scratchDirectory() else { return }
    try? writeAtomically("\(records)\n", to: Files.join(folder, ArtifactWriter.expectedName))
  }

  static func expected(in directory: String) -> Int? {
    let path = Files.join(scratchDirectory(of: directory), expectedName)
    return (try? Files.read(path, limit: 100)).flatMap {
      Int(String(decoding: $0, as: UTF8.self).filter { $0 != "\n" })
    }
  }
}
