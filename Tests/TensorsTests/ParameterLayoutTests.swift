import Tensors
import Testing

@Suite struct ParameterLayoutTests {
  private func layout() -> ParameterLayout {
    var layout = ParameterLayout()
    _ = layout.add("conv.weight", .convolution, shape: [3, 2, 2, 2])
    _ = layout.add("conv.bias", .bias, shape: [3])
    _ = layout.add("fc.weight", .linear, shape: [5, 4])
    _ = layout.add("bn.weight", .normScale, shape: [16])
    return layout
  }

  @Test func slotsAreNamedAlignedAndDisjoint() throws {
    let layout = layout()
    #expect(layout.slots.map(\.name) == ["conv.weight", "conv.bias", "fc.weight", "bn.weight"])
    #expect(layout.slots.map(\.range) == [0..<24, 32..<35, 48..<68, 80..<96])
    #expect(layout.slots.allSatisfy { $0.range.lowerBound % 16 == 0 && $0.count == $0.shape.reduce(1, *) })
    #expect(layout.count == 96 && layout.scalars == 24 + 3 + 20 + 16)
    let slot = try #require(layout["fc.weight"])
    #expect(slot.kind == .linear && slot.shape == [5, 4])
    #expect(layout["fc"] == nil)
  }

  /// Files are OIHW; memory is [row][column][input][output].
  @Test func convolutionsAreTransposed() throws {
    let layout = layout()
    let slot = try #require(layout["conv.weight"])
    let file = (0..<24).map { Float($0) }
    let values = Buffer<Float>(count: layout.count)
    ParameterLayout.fromFile(slot, file, to: values.pointer)
    for o in 0..<3 {
      for i in 0..<2 {
        for row in 0..<2 {
          for column in 0..<2 {
            let memory = values[slot.range.lowerBound + ((row * 2 + column) * 2 + i) * 3 + o]
            #expect(memory == file[((o * 2 + i) * 2 + row) * 2 + column])
          }
        }
      }
    }
    #expect(ParameterLayout.toFile(slot, values.pointer) == file)
  }

  @Test func linearLayersAreTransposed() throws {
    let layout = layout()
    let slot = try #require(layout["fc.weight"])
    let file = (0..<20).map { Double($0) * 0.5 }
    let values = Buffer<Double>(count: layout.count)
    ParameterLayout.fromFile(slot, file, to: values.pointer)
    for o in 0..<5 {
      for i in 0..<4 { #expect(values[slot.range.lowerBound + i * 5 + o] == file[o * 4 + i]) }
    }
    #expect(ParameterLayout.toFile(slot, values.pointer) == file)
  }

  @Test func everySlotSurvivesTheRoundTripAndTouchesNothingElse() {
    let layout = layout()
    for slot in layout.slots {
      let values = Buffer<Float>([Float](repeating: -1, count: layout.count))
      let file = (0..<slot.count).map { Float($0) + 0.25 }
      ParameterLayout.fromFile(slot, file, to: values.pointer)
      #expect(ParameterLayout.toFile(slot, values.pointer) == file)
      for i in 0..<layout.count where !slot.range.contains(i) { #expect(values[i] == -1) }
    }
  }

  @Test func vectorsKeepTheirOrder() throws {
    let layout = layout()
    let slot = try #require(layout["conv.bias"])
    let values = Buffer<Float>(count: layout.count)
    ParameterLayout.fromFile(slot, [7, 8, 9], to: values.pointer)
    #expect(Array(values.array[slot.range]) == [7, 8, 9])
  }
}
