# SPDX-License-Identifier: MIT
"""Run the tools of llama.cpp (the peer) on the CPU with a float KV cache, and read what they write.

The peer lives in a root file system of its own (chroot ROOT) whose folder ROOT/m is shared with this one.
Needed there: llama-tokenize, llama-results (packages llama.cpp-tools, llama.cpp-tools-extra), llama-server
and llama-quantize. With ROOT = "" the tools of this system are used.
"""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

import numpy as np

from gguf_read import Gguf

FLOAT_CPU = ["-dev", "none", "-fa", "off", "-ctk", "f32", "-ctv", "f32"]
NO_BOS = ["--override-kv", "tokenizer.ggml.add_bos_token=bool:false"]


class Peer:
    def __init__(self, root, threads):
        self.root, self.threads = root, str(threads)
        self.dir = tempfile.mkdtemp(prefix="compare-", dir=os.path.join(root, "m") if root else None)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def inner(self, path):
        """The name of a file below ROOT as the peer sees it."""
        return "/" + os.path.relpath(path, self.root) if self.root else path

    def share(self, path):
        """A path, as we see it, of the same file in the shared folder: found there or copied there."""
        if not self.root:
            return path
        there = os.path.join(self.root, "m", os.path.basename(path))
        if os.path.exists(there) and os.path.samefile(there, path):
            return there
        there = os.path.join(self.dir, os.path.basename(path))
        if not os.path.exists(there):
            shutil.copyfile(path, there)
        return there

    def command(self, args):
        return (["chroot", self.root] if self.root else []) + args

    def run(self, args, **more):
        done = subprocess.run(self.command(args), capture_output=True, text=True, **more)
        if done.returncode:
            raise SystemExit("%s failed:\n%s" % (args[0], done.stderr[-2000:]))
        return done.stdout

    def float_copy(self, model):
        """The same model with every matrix expanded to F32."""
        out = os.path.join(self.dir, "float.gguf")
        self.run(["llama-quantize", "--allow-requantize", self.inner(self.share(model)), self.inner(out), "F32",
                  self.threads])
        return out

    def tokenize(self, model, text):
        out = self.run(["llama-tokenize", "-m", self.inner(self.share(model)), "--stdin", "--ids", "--no-bos",
                        "--no-parse-special", "--log-disable"], input=text)
        return json.loads(out.strip().splitlines()[-1])

    def cut(self, model, text, n):
        """(piece, tokens): a piece of the text, from its start, of `n` tokens or a little less.

        The count is a multiple of 4, because llama-results sizes its buffer without alignment, and the piece
        ends in no newline, because the peer's tools drop one from the end of a file.
        """
        if len(self.tokenize(model, text)) < n:
            return None, 0
        for target in range(n - n % 4, max(0, n - 100), -4):
            lo, hi = 0, len(text)
            while hi - lo > 1:
                mid = (lo + hi) // 2
                lo, hi = (mid, hi) if len(self.tokenize(model, text[:mid])) < target else (lo, mid)
            for end in range(hi, hi + 8):
                if text[end - 1] != "\n" and len(self.tokenize(model, text[:end])) == target:
                    return text[:end], target
        raise SystemExit("no piece of the text has about %d tokens" % n)

    def logits(self, model, text):
        """(token ids, float32 logits [tokens, vocabulary]) of a text in one window."""
        path, out = os.path.join(self.dir, "text.txt"), os.path.join(self.dir, "logits.gguf")
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        n = str(len(self.tokenize(model, text)))
        self.run(["llama-results", "-m", self.inner(self.share(model)), "-f", self.inner(path), "--no-escape",
                  "-o", self.inner(out), "-c", n, "-b", n, "-t", self.threads] + FLOAT_CPU + NO_BOS)
        tensors = Gguf(out).tensors
        ids = np.frombuffer(tensors["tokens"].raw, "<i4").astype(np.int64)
        return ids, tensors["logits"].raw.view("<f4").reshape(len(ids), -1)

    def greedy(self, model, prompts, n):
        """The `n` most likely tokens, one by one, after each list of prompt ids; shorter where the model stops."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        context = str(max(map(len, prompts)) + n + 8)
        server = subprocess.Popen(
            self.command(["llama-server", "-m", self.inner(self.share(model)), "-c", context, "-np", "1", "--host",
                          "127.0.0.1", "--port", str(port), "-t", self.threads, "--no-webui"] + FLOAT_CPU + NO_BOS),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_ready(server, port)
            out = []
            for prompt in prompts:
                body = {"prompt": prompt, "n_predict": n, "temperature": 0.0, "top_k": 1, "samplers": ["top_k"],
                        "repeat_penalty": 1.0, "cache_prompt": False, "return_tokens": True}
                request = urllib.request.Request("http://127.0.0.1:%d/completion" % port,
                                                 json.dumps(body).encode(), {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=3600) as reply:
                    out.append(json.load(reply)["tokens"])
            return out
        finally:
            server.terminate()
            server.wait()

    def wait_ready(self, server, port):
        for _ in range(600):
            if server.poll() is not None:
                raise SystemExit("llama-server ended with %d" % server.returncode)
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d/health" % port, timeout=5):
                    return
            except OSError:
                time.sleep(0.5)
        raise SystemExit("llama-server did not start")
