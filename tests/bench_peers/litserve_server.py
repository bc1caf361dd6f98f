"""As LitServe's documentation has it. `python litserve_server.py PORT tiny|large MAX-BATCH TIMEOUT`

https://lightning.ai/docs/litserve/features/batching — a batch is a list of requests until `batch` joins it.
"""

import sys

import litserve as ls


class Tiny(ls.LitAPI):
    def setup(self, device):
        from tiny import predict

        self.model = predict

    def decode_request(self, request):
        return request["instances"]

    def predict(self, rows):
        return self.model(rows)

    def encode_response(self, output):
        return {"predictions": output}


class Large(ls.LitAPI):
    def setup(self, device):
        import torch
        from large import make

        self.torch, self.model = torch, make().to(device)

    def decode_request(self, request):
        return self.torch.tensor(request["instances"][0], dtype=self.torch.float32)

    def batch(self, inputs):
        return self.torch.stack(inputs)

    def predict(self, inputs):
        with self.torch.inference_mode():
            return self.model(inputs if inputs.ndim == 2 else inputs[None])

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"predictions": output.reshape(1, -1).tolist()}


if __name__ == "__main__":
    kind = {"tiny": Tiny, "large": Large}[sys.argv[2]]
    api = kind(max_batch_size=int(sys.argv[3]), batch_timeout=float(sys.argv[4]), api_path="/invocations")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="error", generate_client_file=False)
