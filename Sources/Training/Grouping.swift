/// Reads items one by one and calls `body` with stretches of them that cost at most `limit` together:
/// what is worth one pass over a model. A dearer item makes a stretch of its own.
public func forEachGroup<Item>(
  _ indices: [Int], limit: Int, read: (Int) throws -> Item, cost: (Item) -> Int,
  _ body: ([Item]) throws -> Void
) throws {
  var group: [Item] = []
  var sum = 0
  for index in indices {
    let item = try read(index)
    let price = cost(item)
    if !group.isEmpty, sum + price > limit {
      try body(group)
      group = []
      sum = 0
    }
    group.append(item)
    sum += price
  }
  if !group.isEmpty { try body(group) }
}
