/**
 * Imported before anything that loads ONNX Runtime: 1.30 and later send telemetry on Linux unless this
 * variable is set when the library loads, and write a log and an id of the device to do so.
 */
process.env['ORT_DISABLE_TELEMETRY'] = '1';
