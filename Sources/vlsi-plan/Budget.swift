import Failures
import Planning
import StageKit
import Training

/// The share of a data set that fits into so many hours.
struct Budget {
  /// Of the run over that share.
  let plan: RunPlan
  /// How many entries of the data set, rejected ones among them.
  let entries: Int
  let sentence: String

  /// What a plan may be wrong by.
  private static let margin = 0.9

  /// The largest share, evenly spread, whose stages take no longer.
  /// - Throws: `Failure` 78 where not even a sample fits.
  init(hours: Double, plan whole: RunPlan, samples: ExampleReader, rates: Rates) throws {
    let all = whole.survey.samples
    func planned(_ count: Int) throws -> (plan: RunPlan, seconds: Double) {
      let plan = try RunPlan(
        teacher: whole.teacher, student: whole.student, preset: whole.preset,
        survey: SampleSurvey(samples, limit: count), seed: whole.seed, threads: whole.threads)
      return (plan, plan.stages(rates).compactMap(\.seconds).reduce(0, +))
    }
    let most = hours * 3600 * Budget.margin
    let least = try planned(1).seconds
    guard least <= most else {
      throw Failure(
        .badPreset, "the budget does not suffice for one sample", at: "run.budget_hours",
        expected: "at least \(Progress.duration(least / Budget.margin))",
        found: Progress.duration(hours * 3600))
    }
    // So many fit, and so many not, unless all do.
    var (low, high) = (1, all + 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if try planned(middle).seconds > most { high = middle } else { low = middle }
    }
    plan = try planned(low).plan
    let facts = samples.artifact.manifest.facts
    let total = facts["data_set_entries"]?.asInt ?? all
    entries = max(1, total * low / all)
    sentence =
      low == all
      ? "all samples fit into \(Progress.duration(hours * 3600))"
      : "\(plan.survey.samples) of \(all) samples, evenly spread, fit into "
        + Progress.duration(hours * 3600)
  }
}
