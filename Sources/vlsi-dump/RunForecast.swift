import Artifacts
import StageKit

/// What `vlsi-plan` said that a run's artifacts would take, held against what those took that are there.
struct RunForecast {
  /// The stages' artifacts by their places in the run, in the order in which they are made, with the
  /// seconds that were planned.
  let stages: [(place: String, seconds: Double?)]
  /// How much longer this machine takes than was planned.
  private let slowness: Double

  /// Nil where the run was not planned, or the plan cannot be read.
  init?(_ run: RunFolder) {
    let path = Files.join(run.path, ArtifactStatus.planName)
    guard let plan = (try? Files.read(path)).flatMap({ try? JSON(parsing: $0, place: path) }),
      let list = plan["stages"]?.asArray
    else { return nil }
    // For several machines where it was made for them.
    let cluster = plan["cluster"]?["stages"]?.asArray
    let times = Dictionary(
      (cluster ?? list).compactMap { stage in
        stage["name"]?.asString.flatMap { name in
          stage["seconds"]?.asDouble.map { (name, $0) }
        }
      }, uniquingKeysWith: { first, _ in first })
    stages = list.compactMap { stage in
      stage["artifact"]?.asString.map { ($0, stage["name"]?.asString.flatMap { times[$0] }) }
    }
    let threads = cluster == nil ? plan["threads"]?.asInt : nil
    var (planned, taken) = (0.0, 0.0)
    for stage in stages {
      // A share's seconds are not those of the whole machine, and what was linked took none.
      guard let seconds = stage.seconds, let manifest = run.manifest(stage.place),
        manifest.threads == threads, manifest.facts["linked_from"] == nil
      else { continue }
      planned += seconds
      taken += manifest.wallSeconds
    }
    // Below that it is the programs' start that was measured.
    slowness = planned > 10 ? taken / planned : 1
  }

  /// Seconds that an artifact takes from beginning to end.
  func seconds(_ place: String) -> Double? {
    stages.first { $0.place == place }?.seconds.map { $0 * slowness }
  }
}
