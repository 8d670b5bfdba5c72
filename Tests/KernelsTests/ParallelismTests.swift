import Foundation
import Kernels
import Synchronization
import Testing

/// The pool hands out every index once, whatever the split, and survives being asked from within.
@Suite struct ParallelismTests {
  @Test(arguments: [1, 2, 3, 7]) func everyIndexOnce(threads: Int) {
    for count in [0, 1, 2, 5, 64, 1000] {
      for grain in [1, 3, 64, 2000] {
        let visits = Buffer(zeros: max(1, count))
        Parallelism.withThreads(threads) {
          parallelFor(count, grain: grain) { range in
            for i in range { visits.pointer[i] += 1 }
          }
          parallelTasks(count) { visits.pointer[$0] += 1 }
        }
        #expect(visits.array[..<count].allSatisfy { $0 == 2 }, "\(count) by \(grain)")
      }
    }
  }

  @Test func loopsWithinLoopsAndFromManyThreads() {
    let total = Atomic<Int>(0)
    Parallelism.withThreads(3) {
      for _ in 0..<200 {
        parallelTasks(5) { _ in
          parallelFor(100) { range in total.add(range.count, ordering: .relaxed) }
        }
      }
    }
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      Parallelism.withThreads(3) {
        for _ in 0..<500 {
          parallelFor(50) { range in total.add(range.count, ordering: .relaxed) }
        }
      }
    }
    #expect(total.load(ordering: .relaxed) == 200 * 5 * 100 + 4 * 500 * 50)
  }

  @Test func workersThatFellAsleepWakeUp() {
    let total = Atomic<Int>(0)
    Parallelism.withThreads(2) {
      for _ in 0..<20 {
        parallelFor(10) { range in total.add(range.count, ordering: .relaxed) }
        usleep(2_000)
      }
    }
    #expect(total.load(ordering: .relaxed) == 200)
  }

  @Test(arguments: [1, 2, 3])
  func normalNumbersAreThoseOfOneThread(threads: Int) {
    for count in [0, 1, 7, 20_001] {
      var one = SplitMix64(seed: 5), many = one
      let expected = (0..<count).map { _ in Float(one.normal() * 0.25) }
      let found = Parallelism.withThreads(threads) { many.normals(count, deviation: 0.25) }
      #expect(found.array == expected && one == many)
    }
  }
}
