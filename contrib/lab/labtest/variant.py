# SPDX-License-Identifier: Apache-2.0
# variant.py SOURCE TARGET JSON: push a copy of an image whose configuration has these values.
import hashlib, json, os, shutil, subprocess, sys, tempfile

source, target, changes = sys.argv[1], sys.argv[2], json.loads(sys.stdin.read() if sys.argv[3] == "-" else sys.argv[3])
top = tempfile.mkdtemp()
subprocess.run(["skopeo", "copy", "-q", "docker://" + source, "oci:" + top + "/i:x"], check=True)
blobs = top + "/i/blobs/sha256/"


def put(value):
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    with open(blobs + digest, "wb") as f:
        f.write(data)
    return "sha256:" + digest, len(data)


def get(digest):
    with open(blobs + digest.split(":")[1], "rb") as f:
        return json.load(f)


with open(top + "/i/index.json") as f:
    index = json.load(f)
manifest = get(index["manifests"][0]["digest"])
config = get(manifest["config"]["digest"])
config["config"].update(changes)
manifest["config"]["digest"], manifest["config"]["size"] = put(config)
index["manifests"][0]["digest"], index["manifests"][0]["size"] = put(manifest)
with open(top + "/i/index.json", "w") as f:
    json.dump(index, f)
subprocess.run(["skopeo", "copy", "-q", "oci:" + top + "/i:x", "docker://" + target], check=True)
shutil.rmtree(top)
