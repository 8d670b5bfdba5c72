/// How many threads the kernels use. Set once, before the first kernel runs.
public enum Parallelism {
  /// Threads of every kernel; at least 1. Results depend on the inputs and on this number alone.
  public static var threads: Int {
    get { number.value }
    set { number.value = newValue }
  }

  /// Runs `body` with so many threads for the kernels that the calling thread starts; kernels of
  /// other threads keep theirs. For comparing thread counts within one process.
  public static func withThreads<Result>(_ count: Int, _ body: () throws -> Result) rethrows
    -> Result
  {
    try number.with(count, body)
  }

  private static let number = ProcessNumber(1)
}

/// Runs `body` over `0 ..< count`, split into at most `Parallelism.threads` contiguous ranges of
/// at least `grain` items. The split depends on `count`, `grain` and the thread count alone, so
/// that the same inputs give the same bits.
@inline(__always)
public func parallelFor(_ count: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
  let parts = min(Parallelism.threads, max(1, count / max(1, grain)))
  if parts <= 1 {
    if count > 0 { body(0..<count) }
    return
  }
  WorkerPool.shared.run(parts) { part in
    let range = (count * part / parts)..<(count * (part + 1) / parts)
    if !range.isEmpty { body(range) }
  }
}

/// Runs `body` once for every task, the tasks handed out one after another to whichever thread is
/// free: for tasks of unequal cost that write to disjoint places.
@inline(__always)
public func parallelTasks(_ count: Int, _ body: (Int) -> Void) {
  if Parallelism.threads <= 1 || count <= 1 {
    for task in 0..<count { body(task) }
    return
  }
  WorkerPool.shared.run(count, body)
}
