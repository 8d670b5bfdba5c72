import Foundation
import Logging
import Synchronization

/// How far a stage is: a live bar on a terminal, else a log line now and then; always with rate
/// and time left.
public final class Progress: Sendable {
  private struct State {
    var done: Int
    var resumedAt: Int
    var note = ""
    var nextBar = 0.0
    var nextLine: Double
  }

  private let label: String
  private let unit: String
  private let total: Int
  private let logger: Logger
  private let isVisible: Bool
  private let tell: @Sendable (_ done: Int, _ fresh: Int, _ seconds: Double) -> Void
  private let start = Stage.monotonicSeconds()
  private let state: Mutex<State>

  /// - Parameter tell: called as units are done, with how many are, how many of these since the start,
  ///   and the seconds since then.
  init(
    label: String, unit: String, total: Int, done: Int, logger: Logger, isVisible: Bool,
    tell: @escaping @Sendable (_ done: Int, _ fresh: Int, _ seconds: Double) -> Void = { _, _, _ in
    }
  ) {
    self.label = label
    self.unit = unit
    self.total = total
    self.logger = logger
    self.isVisible = isVisible
    self.tell = tell
    tell(done, 0, 0)
    state = Mutex(State(done: done, resumedAt: done, nextLine: 5))
  }

  /// `count` more units are done. `note` stands behind the numbers, a loss for instance.
  public func advance(_ count: Int = 1, note: @autoclosure () -> String = "") {
    let elapsed = Stage.monotonicSeconds() - start
    let (done, fresh) = state.withLock { state in
      state.done += count
      return (state.done, state.done - state.resumedAt)
    }
    tell(done, fresh, elapsed)
    guard isVisible else { return }
    let (bar, line): (String?, String?) = state.withLock { state in
      let live = Terminal.shared.isLive
      guard elapsed >= (live ? state.nextBar : state.nextLine) else { return (nil, nil) }
      state.note = note()
      let text = summary(state, elapsed: elapsed)
      if live {
        state.nextBar = elapsed + 0.1
        return (text, nil)
      }
      // 5, 10, 20, 40 seconds, then every minute: short stages speak, long ones do not flood.
      state.nextLine = elapsed + min(60, max(5, elapsed))
      return (nil, text)
    }
    if let bar {
      let width = 24
      let filled = total > 0 ? min(width, width * state.withLock { $0.done } / total) : 0
      let blocks = String(repeating: "━", count: filled)
      Terminal.shared.showBar(
        blocks + String(repeating: "╌", count: width - filled) + " " + bar)
    }
    if let line { logger.info("\(line)") }
  }

  /// Ends the bar and says in one line what was done and how fast.
  public func finish(note: String = "") {
    guard isVisible else { return }
    Terminal.shared.showBar("")
    let elapsed = Stage.monotonicSeconds() - start
    let state = state.withLock { $0 }
    let count = state.done - state.resumedAt
    let rate = elapsed > 0 ? Double(count) / elapsed : 0
    let tail = note.isEmpty ? "" : ", \(note)"
    logger.info(
      "\(label): \(count) \(unit) in \(Progress.duration(elapsed)), \(Progress.rate(rate))/s\(tail)"
    )
  }

  private func summary(_ state: State, elapsed: Double) -> String {
    let fresh = state.done - state.resumedAt
    let rate = elapsed > 0 ? Double(fresh) / elapsed : 0
    var text = "\(label) \(state.done)/\(total) \(unit)"
    if total > 0 { text += " (\(state.done * 100 / total)%)" }
    text += ", \(Progress.rate(rate))/s"
    if rate > 0, total > state.done {
      text += ", \(Progress.duration(Double(total - state.done) / rate)) left"
    }
    return state.note.isEmpty ? text : text + ", \(state.note)"
  }

  /// Three digits: 0.12, 3.46, 78.9, 1234.
  public static func rate(_ value: Double) -> String {
    switch value {
    case ..<10: "\((value * 100).rounded() / 100)"
    case ..<100: "\((value * 10).rounded() / 10)"
    default: "\(Int(min(value, 1e15).rounded()))"
    }
  }

  /// 0.4 s, 45 s, 2 min 05 s, 3 h 20 min, 12 days.
  public static func duration(_ seconds: Double) -> String {
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if seconds < 9.95 { return "\((max(0, seconds) * 10).rounded() / 10) s" }
    let whole = Int(min(seconds, 1e12).rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(two(whole % 60)) s" }
    if whole < 100 * 3600 { return "\(whole / 3600) h \(two(whole / 60 % 60)) min" }
    return "\((whole + 43_200) / 86_400) days"
  }
}
