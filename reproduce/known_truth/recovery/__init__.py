"""Who finds the parts that were planted?"""
