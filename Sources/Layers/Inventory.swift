import Tensors

/// What a rehearsal of a forward pass finds: the layers, with shapes, parameters and multiply-adds of one image.
package final class Inventory {
  /// One row of the table that `lineup describe` prints.
  package struct Row: Sendable {
    package let name: String
    /// The shape of the output for one image.
    package let output: Shape
    /// Trainable scalars, counted where they first appear.
    package let parameters: Int
    /// Multiply-adds of one image's forward pass, as published networks are counted (see `run.row`).
    package let multiplyAdds: Int
  }

  package private(set) var rows: [Row] = []
  /// A linear map and what it reads, for one image.
  package struct Use: Sendable {
    package let weight: ParameterLayout.Slot
    package let geometry: Geometry
    package let input: Shape
  }

  /// Every use of a linear map, in the order of the forward pass.
  package private(set) var uses: [Use] = []
  private var seen: Set<String> = []
  private var parameters = 0, multiplyAdds = 0
  private var countedAt: Shape?

  package init() {}

  func row<T>(_ name: String, _ output: (T) -> Shape, countedAt: Shape?, _ body: () throws -> T) rethrows
    -> T
  {
    (parameters, multiplyAdds, self.countedAt) = (0, 0, countedAt)
    let result = try body()
    rows.append(
      Row(
        name: name, output: countedAt ?? output(result), parameters: parameters, multiplyAdds: multiplyAdds))
    self.countedAt = nil
    return result
  }

  func add(_ slots: [ParameterLayout.Slot]) {
    for slot in slots where seen.insert(slot.name).inserted { parameters += slot.count }
  }

  func add(_ slots: [ParameterLayout.Slot], _ geometry: Geometry, reading input: Shape) {
    add(slots)
    multiplyAdds += geometry.multiplyAdds(countedAt ?? input)
    uses.append(Use(weight: slots[0], geometry: geometry, input: input))
  }
}
