import Glibc
import Synchronization

/// The threads behind `parallelFor`. A training step of a small model is some hundred short loops,
/// so a worker that has just finished one looks out for the next for a moment before it sleeps:
/// waking a sleeping thread costs as much as such a loop.
public final class WorkerPool: @unchecked Sendable {
  public static let shared = WorkerPool()

  /// The tasks of the job at hand (upper half) and how many were handed out (lower half), in one
  /// word: taking a task and knowing that its job still runs is one step.
  private let ticket = Atomic<UInt64>(0)
  private let unfinished = Atomic<Int>(0)
  private let busy = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  /// The job's body; valid while `unfinished` is above zero.
  private var body: UnsafePointer<(Int) -> Void>?
  private var workers = 0
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  /// Looks for work before a worker sleeps: some 30 µs, each look lets others have the core.
  private static let looks = 150

  private init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wakeUp, nil)
  }

  /// Runs `body` for every task below `count`; the caller works too and returns when all are done.
  /// Called from inside a job, or from a second thread during one, it does all the tasks itself.
  public func run(_ count: Int, _ body: (Int) -> Void) {
    let free = busy.compareExchange(
      expected: false, desired: true, ordering: .acquiringAndReleasing
    ).exchanged
    guard free, count > 1 else {
      for task in 0..<count { body(task) }
      if free { busy.store(false, ordering: .releasing) }
      return
    }
    startWorkers(Parallelism.threads - 1)
    withoutActuallyEscaping(body) { escapable in
      withUnsafePointer(to: escapable) { pointer in
        self.body = pointer
        unfinished.store(count, ordering: .releasing)
        ticket.store(UInt64(count) << 32, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
          pthread_mutex_lock(mutex)
          pthread_cond_broadcast(wakeUp)
          pthread_mutex_unlock(mutex)
        }
        while work() {}
        while unfinished.load(ordering: .acquiring) > 0 { sched_yield() }
      }
    }
    busy.store(false, ordering: .releasing)
  }

  /// Does one task of the job at hand; false when none is left.
  private func work() -> Bool {
    var seen = ticket.load(ordering: .acquiring)
    while seen & 0xffff_ffff < seen >> 32 {
      let result = ticket.compareExchange(
        expected: seen, desired: seen + 1, ordering: .acquiringAndReleasing)
      if result.exchanged {
        call(Int(seen & 0xffff_ffff))
        unfinished.subtract(1, ordering: .acquiringAndReleasing)
        return true
      }
      seen = result.original
    }
    return false
  }

  /// Apart from `work`, so that nothing of the job is held when its task counts as finished.
  @inline(never)
  private func call(_ task: Int) { body?.pointee(task) }

  private var hasWork: Bool {
    let seen = ticket.load(ordering: .sequentiallyConsistent)
    return seen & 0xffff_ffff < seen >> 32
  }

  /// The life of a worker: work, look out for work, sleep.
  private func serve() {
    while true {
      var looks = 0
      while looks < Self.looks {
        if work() {
          looks = 0
        } else {
          looks += 1
          sched_yield()
        }
      }
      pthread_mutex_lock(mutex)
      sleepers.add(1, ordering: .sequentiallyConsistent)
      while !hasWork { pthread_cond_wait(wakeUp, mutex) }
      sleepers.subtract(1, ordering: .sequentiallyConsistent)
      pthread_mutex_unlock(mutex)
    }
  }

  private func startWorkers(_ wanted: Int) {
    while workers < wanted {
      var thread = pthread_t()
      let failed = pthread_create(
        &thread, nil,
        { _ in
          WorkerPool.shared.serve()
          return nil
        }, nil)
      // Without a helper the caller does the tasks alone.
      guard failed == 0 else { return }
      pthread_detach(thread)
      workers += 1
    }
  }
}
