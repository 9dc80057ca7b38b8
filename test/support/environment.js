const { TestEnvironment } = require('jest-environment-node');

/**
 * Node's environment with the outer realm's typed arrays: ONNX Runtime checks its tensors' data with
 * `instanceof`, and jest gives each test file a realm of its own.
 */
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const type of [Float32Array, Float64Array, Uint8Array, Int32Array, BigInt64Array])
      this.global[type.name] = type;
  }
};
