import Failures
import Glibc
import Synchronization

/// The one thread that calls MPI: jobs run one after the other, in the order in which they are
/// given, which must be the same on all ranks.
final class CommunicationThread: Sendable {
  typealias Job = @Sendable () -> Void

  private let jobs = Mutex<[Job]>([])
  private let given = Semaphore()
  /// What a job threw: those after it would wait for peers that have given up.
  private let broken = Mutex<(any Error)?>(nil)

  /// - Throws: 70 where the system gives no thread.
  init() throws {
    let life = Unmanaged.passRetained(self)
    var thread = pthread_t()
    let failed = pthread_create(
      &thread, nil,
      { life in
        guard let life else { return nil }
        Unmanaged<CommunicationThread>.fromOpaque(life).takeUnretainedValue().serve()
        return nil
      }, life.toOpaque())
    guard failed == 0 else {
      life.release()
      throw Failure(.software, "no thread for the exchange between ranks could be started")
    }
    pthread_detach(thread)
  }

  private func serve() {
    while true {
      given.wait()
      jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }?()
    }
  }

  /// Runs `job` when those before it are done.
  func begin(_ job: @escaping @Sendable () throws -> Void) -> Pending {
    let pending = Pending()
    give { [self] in
      do {
        if let error = broken.withLock({ $0 }) { throw error }
        try job()
        pending.end(nil)
      } catch {
        broken.withLock { $0 = error }
        pending.end(error)
      }
    }
    return pending
  }

  /// Runs `job` behind all others, even where one has failed.
  func give(_ job: @escaping Job) {
    jobs.withLock { $0.append(job) }
    given.signal()
  }
}

/// An exchange that goes on in the background.
public final class Pending: Sendable {
  private let error = Mutex<(any Error)?>(nil)
  private let ended = Semaphore()

  init() {}

  /// One that has nothing to do.
  static var done: Pending {
    let pending = Pending()
    pending.end(nil)
    return pending
  }

  func end(_ error: (any Error)?) {
    self.error.withLock { $0 = error }
    ended.signal()
  }

  /// Returns when the exchange is done; at once the second time. Throws what it threw.
  public func wait() throws {
    ended.wait()
    try result()
  }

  /// The same, for `seconds` at most; false where it goes on.
  func wait(seconds: Int) throws -> Bool {
    guard ended.wait(seconds: seconds) else { return false }
    try result()
    return true
  }

  private func result() throws {
    ended.signal()
    if let error = error.withLock({ $0 }) { throw error }
  }
}

/// What threads wait for without using a core.
final class Semaphore: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() { sem_init(semaphore, 0, 0) }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func signal() { sem_post(semaphore) }
  /// A signal handler may run meanwhile.
  func wait() { while sem_wait(semaphore) != 0 {} }

  /// - Returns: false where no signal came in time.
  func wait(seconds: Int) -> Bool {
    var end = timespec()
    clock_gettime(CLOCK_REALTIME, &end)
    end.tv_sec += seconds
    while sem_timedwait(semaphore, &end) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }
}
