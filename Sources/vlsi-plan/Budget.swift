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

  /// The largest share, every so-manieth entry, whose stages take no longer.
  /// - Throws: `Failure` 78 where not even a sample fits.
  init(hours: Double, plan whole: RunPlan, samples: ExampleReader, rates: Rates) throws {
    let all = whole.survey.samples
    func planned(_ divisor: Int) throws -> (plan: RunPlan, seconds: Double) {
      let plan = try RunPlan(
        teacher: whole.teacher, student: whole.student, preset: whole.preset,
        survey: SampleSurvey(samples, limit: max(1, all / divisor)), seed: whole.seed,
        threads: whole.threads)
      return (plan, plan.stages(rates).compactMap(\.seconds).reduce(0, +))
    }
    let most = hours * 3600 * Budget.margin
    var (low, high) = (0, 1)
    while try planned(high).seconds > most {
      guard high < all else {
        throw Failure(
          .badPreset, "the budget does not suffice for one sample", at: "run.budget_hours",
          expected: "at least \(Progress.duration(try planned(all).seconds))",
          found: Progress.duration(hours * 3600))
      }
      (low, high) = (high, min(all, 2 * high))
    }
    // Fits at `high`, and not at `low`.
    while high - low > 1 {
      let middle = (low + high) / 2
      if try planned(middle).seconds > most { low = middle } else { high = middle }
    }
    plan = try planned(high).plan
    let facts = samples.artifact.manifest.facts
    let total = facts["data_set_entries"]?.asInt ?? all
    entries = max(1, total / high)
    sentence =
      high == 1
      ? "all samples fit into \(Progress.duration(hours * 3600))"
      : "\(plan.survey.samples) of \(all) samples, evenly spread, fit into "
        + Progress.duration(hours * 3600)
  }
}
