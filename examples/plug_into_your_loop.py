"""One part of chainrule in your own PyTorch program: a network and augmentations in a hand-written loop.

    python examples/plug_into_your_loop.py

``LeNet5`` is a ``torch.nn.Module``, ``Resize`` is another, and an augmentation is a function of a batch and of uniform
random numbers: the loop stays yours. 5 epochs on the 8x8 digits of scikit-learn take some seconds on one core.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from chainrule.data.augment import Augment
from chainrule.models.vision.lenet import LeNet5
from chainrule.nn.resize import Resize
from chainrule.registry import parse_list

torch.manual_seed(0)
images, classes = load_digits(return_X_y=True)
images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8)
classes = torch.tensor(classes)
train, test = train_test_split(torch.arange(len(images)), test_size=0.2, stratify=classes, random_state=0)

augment = Augment(parse_list("rotate(degrees=10), brightness"), white=16.0)
resize = Resize(28, 28)
model = LeNet5(channels=1, classes=10, size=28)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

for epoch in range(1, 6):
    model.train()
    for batch in train[torch.randperm(len(train))].split(64):
        x, y = augment(images[batch], classes[batch], torch.rand(len(batch), augment.draws))
        loss = F.cross_entropy(model(resize(x) / 16), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    model.eval()
    with torch.no_grad():
        accuracy = (model(resize(images[test]) / 16).argmax(dim=1) == classes[test]).float().mean()
    print(f"epoch {epoch:2}  loss {loss:.3f}  test accuracy {accuracy:.3f}")
