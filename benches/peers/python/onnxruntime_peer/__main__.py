"""Run with `python -m onnxruntime_peer MODEL.onnx …`."""

import onnxruntime

import serving

arguments = serving.task()
stream = serving.answers()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = arguments.threads
options.inter_op_num_threads = 1
if arguments.clock == "cpu":
    # A thread that waits for work by spinning would count as one that works.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
planes = serving.planes(arguments)
serving.serve(arguments, stream, "CPU", lambda: session.run(None, {name: planes})[0])
