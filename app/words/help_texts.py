"""The text behind every question mark. What the paper says and what is our definition are kept apart."""

from __future__ import annotations

PAPER = "**Paper** (Park et al., AAAI 2023)"
OURS = "**Our definition**"

# Above each page, in a sentence; the first page and the Idea speak for themselves.
PAGES = {
    "tune": "Set each layer's ratio and see at once what every tile keeps.",
    "masks": "The same layer pruned by each method, on the same axes.",
    "run": "Prune, recover, test and time every method on this machine.",
    "compare": "What was measured: the verdict, the trade-off, every figure with its interval.",
    "device": "Where pruning pays on a device: layer by layer, ratio by ratio.",
}

HELP = {
    # scope
    "model": "The network to prune. Only trained models with images at hand get an accuracy.",
    "upload": (
        "A state_dict, training checkpoint, whole module or TorchScript (.pt, .pth), .safetensors or .pt2; "
        ".onnx is only looked at. Up to 500 MB and 300 million numbers. The architecture is recognised by "
        "names and shapes of the tensors; the head gets the file's number of classes."
    ),
    "images_zip": (
        "A folder for each class, or train/CLASS and val/CLASS, as one zip of up to 500 MB: JPEG, PNG, BMP, "
        "PPM, TIFF or WebP. Without train and val half of each class is tested, and the other half helps "
        "recovery. Classes are numbered in the sorted order of their folders' names."
    ),
    "pruned": "The others could be, and stay dense unless Tune gives them a ratio. The table below says why.",
    "preprocessing": (
        "What whoever released weights of this architecture wrote down, or the usual where nobody did. "
        "Images that come with the model have the right size. On the command line --resize, --mean and --std "
        "change it."
    ),
    "architecture": (
        "What the tensors are taken to be of: the best fit first. From 80 % on it can be built; tensors that "
        "the file lacks are then random, and accuracy is not measured."
    ),
    "torchvision": "Classifiers of torchvision. Without weights on this machine they are random.",
    "tile": (
        "Filters that share one choice of columns (V). "
        f"{PAPER}: weights are removed as column vectors of a tile. "
        f"{OURS}: a tile is V consecutive filters over the whole layer, or V that were permuted together."
    ),
    "ratio": (
        "Share of weights **removed** from the layers that are pruned; 50 % leaves half. "
        "The work saved in multiply-adds stands beside every result."
    ),
    "method": (
        "The pattern in which weights are removed. It is the one in focus on every page; "
        "Run measures several side by side."
    ),
    # tune
    "allocation": (
        "How the ratio is spread over the layers. *Uniform*: the same everywhere. "
        "*Global threshold*: one threshold over the scores of the network, so layers with weak weights give "
        "more. *Least loss*: layers that lose little give more, by a sensitivity scan or by importance. "
        "*Latency target*: you give a time, and the ratios follow from times measured on this machine. "
        f"*Explicit*: each layer's own ratio, at first what it has now. "
        f"{PAPER}: step 1 finds ratios over the network. {OURS}: the formulas."
    ),
    "criterion": (
        "How much a weight matters. *L1* and *L2* look at weights alone. *Activation-aware*, *OBS* and "
        "*Taylor* also run calibration images through the model, once. *FPGM* works for whole filters only."
    ),
    "permute": (
        f"{OURS}: filters that want the same columns share a tile, so that its one choice of columns suits "
        "them better; found by balanced k-means, then swaps. Ratios stay as they are. Engines put every "
        "output back in its place, so no other layer notices; on a CPU that costs about a tenth of a layer's "
        "time, more for 1 × 1 layers. Device times and sensitivity scans are of filters in their own order."
    ),
    "masks_file": (
        "Drop masks.safetensors of an export: its plan is then what every page shows, runs and exports, for "
        "the method that the masks are of. Tile, ratio and layers are those of the file. The file must be of "
        "the same dense weights as the model above; nothing in it is executed."
    ),
    "importance": (
        f"{OURS}: the share of the importance of single weights (their squares, for L2) that the masks keep, "
        "first with filters in their own order, then permuted. Equal ratios, so more is better."
    ),
    "lock": "A locked layer keeps its ratio when the preset or the ratio above change.",
    "exclude": "The layer stays dense.",
    "snapped": "What whole columns, the same number in every tile, make of the ratio.",
    "work": "The layer's share of the network's multiply-adds.",
    "grid": "Tiles × columns: each cell is one decision to keep or remove.",
    "engine": "What is expected to run the layer. The measured choice stands in the results of a run.",
    "break_even": (
        f"{OURS}: the smallest ratio measured on this machine from which on the layer, pruned by BCBP, beats "
        "the best dense one, by verdict and up to the highest ratio measured. Nothing is interpolated. "
        "*Not measured*: press Measure on the Device page, for this model and this tile."
    ),
    "sensitivity": (
        f"{OURS}: accuracy lost, in percentage points, when this layer alone is pruned and the batch norms "
        "behind it are measured again; on validation images. The layer's interval stands beside its mask. "
        "*Not measured* is not robust."
    ),
    "budget": (
        f"{OURS}: the sum of the layers' measured times, sparse where that clearly wins, else best dense. "
        "Of all choices within it the one with the least sum of losses is taken."
    ),
    "budget_batch": "Images run at once. These are the batch sizes at which the layers were timed.",
    "loss": "The sum over the layers, each pruned alone: a proxy. Run measures the accuracy.",
    "by_work": (
        "Estimate, not measured: if the multiply-adds that are left took as long each as before. An engine "
        "may need less or more for each than the best dense: what Run measures can lie on either side."
    ),
    "idle": (
        f"The largest WIT of a layer before balancing. {PAPER}: balance removes this waiting. "
        f"{OURS}: how it is counted."
    ),
    "balance": (
        f"{PAPER}: every tile of a layer keeps the same number of columns, so no tile waits for another. "
        "Bars of one height are the proof."
    ),
    "wit": (
        f"Workload imbalance of tiles. {PAPER}: unequal tiles leave hardware idle. {OURS}: "
        "1 − mean / max of kept columns, the idle share if all tiles of a layer run at once. "
        "Before balancing it sizes the problem; after it must be 0."
    ),
    # masks
    "layer": "The layer whose mask is shown; at first the one with the most multiply-adds.",
    "masks_methods": (
        "Each by the same preset and edits, on the same axes, so masks can be read one above the other."
    ),
    "magnitude": (
        "Magnitude shades what is kept by its score: the stronger the colour, the larger the L2 norm of the "
        "column vector."
    ),
    "viewer": (
        "The canvas zooms down to single columns. "
        "The chart shows equal bins and needs no drawing in the browser."
    ),
    "window": "The whole layer is too wide to send bit by bit: it is shown as exact shares of equal bins.",
    "axes": (
        f"{OURS}: a layer is the matrix of its filters (rows) and its columns: "
        "input channel × kernel row × kernel column."
    ),
    # run
    "ratios": (
        "Several ratios measure every method at each of them, all in the same rounds against the same dense: "
        "then methods can be compared at equal accuracy. The time grows with their number."
    ),
    "methods": "Each at the same ratio, with the same recovery, timed in the same interleaved rounds.",
    "batches": "Images run at once. Small batches measure waiting time, large ones throughput.",
    "recovery": (
        "How far up the ladder to go after pruning. *BatchNorm*: its statistics are measured again on images "
        "the model was trained on. *Refit*: the weights left are recomputed in closed form. *Fine-tune*: "
        "they are trained for some epochs, which takes minutes; nothing below it trains. Every rung up to "
        "the chosen one is tested; the best on validation images is kept."
    ),
    "epochs": (
        "Passes over the training images, the same for every method. Where only a part of them ships "
        "with the product, that part is used and counted out; name the folder that holds all to use all."
    ),
    "distill": (
        "Half of the loss compares with the answers of the dense network, softened (Hinton et al. 2015, "
        "temperature 4). A third more work."
    ),
    "optimizer": "SGD with Nesterov momentum 0.9, or AdamW. The peak rate changes with it: each has its own.",
    "schedule": (
        "How the rate falls once it has risen over the first tenth of the steps: along a cosine, or in steps."
    ),
    "tuning_precision": (
        "*The faster*: a step is timed in float32 and in bf16 before the first epoch; bf16 is taken where it "
        "is clearly faster. Weights stay float32."
    ),
    "rate": "The highest learning rate, reached after the first tenth of the steps.",
    "rung": "McNemar's test on the same images: answers gained and lost against the rung below.",
    "rung_seconds": (
        "Time of this recovery alone on this machine: fine-tuning starts from the best rung below, every "
        "other one from the masked network."
    ),
    "images": "Test images for the accuracy. Fewer is quicker and widens the interval.",
    "device": (
        "Where networks are timed. On a GPU pruned layers run in Triton kernels, the whole network as one "
        "CUDA graph. Dense is the best of eager, channels_last, folded, compiled, each also as a graph, and "
        "our kernels with nothing removed."
    ),
    "precision": "The number format on the GPU. Accuracy is always that of float32 on the processor.",
    "rounds": "Interleaved timing rounds per method. More narrows the interval.",
    "data": (
        "On this machine: CIFAR-10, a folder with train/CLASS and val/CLASS, or one with a folder of images "
        "for each class, half of which is tested then; or a zip of such a folder. Empty: the images that "
        "come with the model, else the usual places are looked through."
    ),
    "stop": "Stops at the next step, mostly within a second; what has been measured is kept.",
    "environment": "Times hold for this machine, with this load and these versions.",
    # device
    "passport": (
        "Live figures are this machine's. Recorded ones ship with the product, imported ones come from a "
        "file, earlier ones were measured with other versions or on another machine. They never mix."
    ),
    "dtype": "The number format that both sparse and dense were timed in.",
    "import": (
        "A passport that the Device page of another machine exported. It is checked, never executed, and "
        "stays apart from live figures."
    ),
    "device_batches": "Images run at once. Each batch size is a column of its own in the table.",
    "device_ratios": "Shares of weights removed at which every layer is timed.",
    "again": "Also what the passport has already; the newer figure takes the place of the older one.",
    "ceiling": (
        "Measured on the device, not looked up: the best of many short runs. A multiply-add is two FLOP; a "
        "copy counts what it reads and what it writes."
    ),
    # compare
    "predicted": (
        "Estimate of a latency target: the sum of the layers, each timed alone before the run. What lies "
        "between layers is not in it."
    ),
    "limit": (
        "The least time that the device's measured rates allow, and how much of it was reached: for every "
        "layer the longer of its arithmetic and its traffic, with each kept weight and each map moved once, "
        "and batch norms, activations and sums fused. Pooling and what lies between layers is not counted; "
        "maps that stay in a cache can beat it."
    ),
    "speed_interval": (
        "Where the speed lies, by bootstrap over the rounds. *Clock check*: the same code against itself in "
        "the same rounds; no difference smaller than that is claimed."
    ),
    "speedup": "Time of the best dense / time of this method, with its 95 % bootstrap interval.",
    "equal_accuracy": (
        f"{OURS}: of each method the fastest measured ratio that loses at most so much; nothing between "
        "ratios is guessed. The measured loss decides; *cannot tell* marks a limit inside its interval. What "
        "is chosen on test images looks a little better there than on new ones."
    ),
    "points_lost": (
        "Points of accuracy below dense on the same images, with the 95 % interval of the paired difference "
        "(Agresti and Min 2005)."
    ),
    "changed": (
        "*Lost*: dense is right, the pruned network wrong. *Gained*: the other way round. *Still "
        "wrong*: both are wrong, with different answers."
    ),
    "points": "Percentage points of accuracy against dense.",
    "export": (
        "The network is pruned and recovered once more, as in the run, and written in each form. What each "
        "is good for stands below."
    ),
    "run_id": "The end of the run's number: no two rows have the same.",
    "run_again": (
        "The same request as a new run. It is called *Resume* where a run did not finish and what it kept is "
        "not done again."
    ),
    "export_run": "Request, report and predictions of this run as one file, for another dashboard.",
    "import_run": "What Export run wrote. It is checked, never executed, and marked as measured elsewhere.",
    "side_by_side": "Rows of several runs in one table, each against the dense of its own run.",
    "html_report": (
        "One file that opens from disk and prints: verdict, figures, how each was measured, versions, and "
        "sliders over everything that was measured. About 2 MB."
    ),
    "paired": "McNemar's test on the same images: answers gained and lost against dense.",
}
