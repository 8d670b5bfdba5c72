import Glibc

/// A number for the whole process, set before the first kernel runs, in whose place a thread may put
/// another for what it calls: to compare settings within one process.
final class ProcessNumber: @unchecked Sendable {
  private var everyone: Int
  /// The calling thread's own number plus one, if it has one.
  private var own = pthread_key_t()

  init(_ value: Int) {
    everyone = value
    pthread_key_create(&own, nil)
  }

  var value: Int {
    get {
      let mine = Int(bitPattern: pthread_getspecific(own))
      return mine == 0 ? everyone : mine - 1
    }
    set { everyone = newValue }
  }

  func with<Result>(_ value: Int, _ body: () throws -> Result) rethrows -> Result {
    let before = pthread_getspecific(own)
    pthread_setspecific(own, UnsafeRawPointer(bitPattern: value + 1))
    defer { pthread_setspecific(own, before) }
    return try body()
  }
}
